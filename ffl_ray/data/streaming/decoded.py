"""Image files decoded once: into memory, or into a file that every process of a machine maps.

The file lies in `$FFL_RAY_CACHE` (else `$XDG_CACHE_HOME/ffl_ray`, else `~/.cache/ffl_ray`), under
a name made of what it depends on: paths, sizes and times of the image files, the side of the
squares and this decoder. It is written beside its place and renamed. Folder and files are their
owner's alone, and those of anybody else are not read: pictures are private, and pixels are what a
model learns. Where the folder can't be used, or FFL_RAY_CACHE is empty, images are decoded into
memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import warnings
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

DECODER = 2  # counts the changes of what `middle_square` gives
FEWEST_IMAGES = 500  # a second's work
MOST_BYTES = 64 * 2**30  # of all files together
MOST_NAMED = 20  # files of an error
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
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(folder):
            return decoded(files)
        if not _is_whole(place, files):
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
    chosen = os.environ.get("FFL_RAY_CACHE")
    if chosen is not None:
        return Path(chosen).expanduser() if chosen else None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ffl_ray"


def _decode(files: Files, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    def one(position: int) -> str | None:
        path = files.path(position)
        try:
            pixels[position] = middle_square(path, files.size)
        except OSError as error:
            return f"{path} can't be read as an image: {error}"
        return None

    with ThreadPoolExecutor() as pool:
        bad = [reason for reason in pool.map(one, range(len(files))) if reason is not None]
    if bad:
        more = f"; and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
        raise DataError(f"data.dir: {'; '.join(bad[:MOST_NAMED])}{more}")


def _num_bytes(files: Files) -> int:
    return len(files) * files.size**2 * 3


def _key(files: Files) -> str:
    """Changes with any file, the order of the files, the side and the decoder."""
    digest = hashlib.sha256(f"{DECODER} {files.size} {files.folder}".encode())
    for position, name in enumerate(files.names.tolist()):
        facts = os.stat(files.path(position))  # noqa: PTH116
        digest.update(name + b"\0%d %d\n" % (facts.st_size, facts.st_mtime_ns))
    return digest.hexdigest()[:32]


def _is_private(folder: Path) -> bool:
    """Whether nobody else can put a file into the folder."""
    facts = folder.stat()
    if facts.st_uid == os.geteuid() and not facts.st_mode & 0o022:
        return True
    warnings.warn(
        f"images are decoded anew by every process: the cache folder {folder} must be yours, and "
        f"writable by you alone (chmod 700)",
        stacklevel=2,
    )
    return False


def _is_whole(place: Path, files: Files) -> bool:
    try:
        facts = place.lstat()
    except FileNotFoundError:
        return False
    ours = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()
    return ours and facts.st_size == _num_bytes(files)


def _write(place: Path, files: Files) -> bool:
    """Decode into a file; not where it would fill the disk."""
    _make_room(place.parent, _num_bytes(files))
    disk = shutil.disk_usage(place.parent)
    if disk.free - _num_bytes(files) < FREE_SHARE * disk.total:
        return False
    # Made anew under a random name, never through a link, and readable by its owner alone.
    opened, name = tempfile.mkstemp(suffix=".part", dir=place.parent)
    unfinished = Path(name)
    try:
        with open(opened, "wb") as file:  # noqa: PTH123
            # A page that finds no room later would end the process.
            os.posix_fallocate(file.fileno(), 0, _num_bytes(files))
        pixels = np.memmap(
            unfinished, np.uint8, "r+", shape=(len(files), files.size, files.size, 3)
        )
        _decode(files, pixels)
        pixels.flush()
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)
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
    opened = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
