"""Image files decoded once: into memory, or into a file that every process of a machine maps.

The file lies in `$FFL_RAY_CACHE` (else `$XDG_CACHE_HOME/ffl_ray`, else `~/.cache/ffl_ray`), under
a name made of what it depends on: paths, sizes and times of the image files, the side of the
squares and this decoder. It is written beside its place and renamed. Where it can't be written,
or FFL_RAY_CACHE is empty, images are decoded into memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from ffl_ray.data.dataset import Files, Images
from ffl_ray.data.streaming.decode import middle_square
from ffl_ray.errors import DataError

DECODER = 1  # counts the changes of what `middle_square` gives
FEWEST_IMAGES = 500  # a second's work
MOST_BYTES = 64 * 2**30  # of all files together
FREE_SHARE = 0.1  # of the disk, which stays free


def decoded(files: Files) -> Images:
    """The files' middle squares in memory, decoded by this process.

    Raises:
        DataError: a file is not an image.
    """
    pixels = torch.empty((len(files), files.size, files.size, 3), dtype=torch.uint8)
    _decode(files, pixels.numpy())
    return Images(pixels, files.labels)


def decoded_once(files: Files) -> Images:
    """The files' middle squares, which the processes of this machine decode once and share.

    They are mapped from a file: processes that read it share its pages, and a process that
    writes into its pixels changes its own copy alone.

    Raises:
        DataError: a file is not an image.
    """
    folder = cache_folder()
    if folder is None or len(files) < FEWEST_IMAGES:
        return decoded(files)
    try:
        place = folder / f"{_key(files)}.pixels"
        if not _is_whole(place, files):
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(place.with_suffix(".lock")):
                if not _is_whole(place, files) and not _write(place, files):
                    return decoded(files)
        pixels = _mapped(place, files)
    except OSError:
        return decoded(files)
    with suppress(OSError):
        place.touch()
    return Images(pixels, files.labels)


def cache_folder() -> Path | None:
    """Where decoded images are kept; none when the environment says so."""
    own = os.environ.get("FFL_RAY_CACHE")
    if own is not None:
        return Path(own).expanduser() if own else None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ffl_ray"


def _decode(files: Files, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    def one(position: int) -> None:
        path = files.path(position)
        try:
            pixels[position] = middle_square(path, files.size)
        except OSError as error:
            raise DataError(f"data.dir: {path} can't be read as an image: {error}") from error

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(one, range(len(files))):
            pass


def _num_bytes(files: Files) -> int:
    return len(files) * files.size**2 * 3


def _key(files: Files) -> str:
    """Changes with any file, the order of the files, the side and the decoder."""
    digest = hashlib.sha256(f"{DECODER} {files.size} {files.folder}".encode())
    for position, name in enumerate(files.names.tolist()):
        facts = os.stat(files.path(position))  # noqa: PTH116
        digest.update(name + b"\0%d %d\n" % (facts.st_size, facts.st_mtime_ns))
    return digest.hexdigest()[:32]


def _is_whole(place: Path, files: Files) -> bool:
    return place.is_file() and place.stat().st_size == _num_bytes(files)


def _write(place: Path, files: Files) -> bool:
    """Decode into a file; not where it would fill the disk."""
    _make_room(place.parent, _num_bytes(files))
    disk = shutil.disk_usage(place.parent)
    if disk.free - _num_bytes(files) < FREE_SHARE * disk.total:
        return False
    part = place.with_suffix(".part")
    try:
        with part.open("wb") as file:
            # A page that finds no room later would end the process.
            os.posix_fallocate(file.fileno(), 0, _num_bytes(files))
        pixels = np.memmap(part, np.uint8, "r+", shape=(len(files), files.size, files.size, 3))
        _decode(files, pixels)
        pixels.flush()
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
    return True


def _make_room(folder: Path, num_bytes: int) -> None:
    """Delete what was used longest ago; whoever has it mapped keeps it until they end."""
    kept = sorted(folder.glob("*.pixels"), key=lambda file: file.stat().st_mtime)
    total = num_bytes + sum(file.stat().st_size for file in kept)
    for file in kept:
        if total <= MOST_BYTES:
            return
        total -= file.stat().st_size
        file.unlink()


def _mapped(place: Path, files: Files) -> UInt8[Tensor, "images height width channels"]:
    flat = torch.from_file(str(place), shared=False, size=_num_bytes(files), dtype=torch.uint8)
    return flat.view(len(files), files.size, files.size, 3)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Only one process is here at a time; a killed one's lock is free again."""
    with place.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
