"""Image files decoded once: into memory, or into a file that every process of a machine maps.

The file lies in `$FFL_RAY_CACHE` (else `$XDG_CACHE_HOME/ffl_ray`, else `~/.cache/ffl_ray`), under
a name made of what it depends on: paths, sizes and times of the image files, the side of the
squares and this decoder; beside it lies what was found of them. Both are written beside their
places and renamed. Folder and files are their owner's alone, and those of anybody else are not
read: pictures are private, and pixels are what a model learns. Where the folder can't be used, or
FFL_RAY_CACHE is empty, images are decoded into memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from ffl_ray.data.dataset import Files, Images
from ffl_ray.data.streaming.decode import middle_of
from ffl_ray.data.streaming.image_file import opened, orientation
from ffl_ray.data.streaming.scan import Scan, check_readable, look_at, refuse_bad
from ffl_ray.files import expanded, is_private, locked, read_own, replaced

DECODER = 3  # counts the changes of what `middle_of` gives
FEWEST_IMAGES = 500  # a second's work
MOST_BYTES = 64 * 2**30  # of all files together
FREE_SHARE = 0.1  # of the disk, which stays free


def decoded(files: Files, *, skip_bad: bool = False) -> tuple[Images, Scan]:
    """The files' middle squares in memory, decoded by this process, and what was found.

    Args:
        skip_bad: leave out what is not an image.

    Raises:
        DataError: a file is not an image.
    """
    pixels = torch.empty((len(files), files.size, files.size, 3), dtype=torch.uint8)
    scan = _decode(files, pixels.numpy(), skip_bad=skip_bad)
    good = scan.good(len(files))
    return Images(pixels[: int(good.sum())], files.labels[good]), scan


def decoded_once(files: Files, *, skip_bad: bool = False) -> tuple[Images, Scan]:
    """The files' middle squares, which the processes of this machine decode once and share.

    They are mapped from a file: processes that read it share its pages, and a process that
    writes into its pixels changes its own copy alone.

    Args:
        skip_bad: leave out what is not an image.

    Raises:
        DataError: a file is not an image.
    """

    def made(place: Path) -> Scan | None:
        return _write(place, files, skip_bad=skip_bad)

    try:
        place = _place(files)
        scan = None if place is None else _found_once(place, files, made, with_pixels=True)
        if place is None or scan is None:
            return decoded(files, skip_bad=skip_bad)
        good = scan.good(len(files))
        pixels = _mapped(place, int(good.sum()), files.size)
    except OSError:
        return decoded(files, skip_bad=skip_bad)
    refuse_bad(files, scan, skip_bad=skip_bad)
    with suppress(OSError):
        place.touch()
    return Images(pixels, files.labels[good]), scan


def scanned_once(files: Files) -> Scan:
    """What a look at files finds that stay files: each is decoded once a machine, and none kept."""

    def made(place: Path | None = None) -> Scan:
        scan = look_at(files, lambda position: check_readable(files.source(position)))
        if place is not None:
            _keep(place, scan)
        return scan

    try:
        place = _place(files)
        found = None if place is None else _found_once(place, files, made, with_pixels=False)
    except OSError:
        found = None
    return made() if found is None else found


def _place(files: Files) -> Path | None:
    """Where what is made of files is kept on this machine; none where that can't be, or needn't."""
    folder = cache_folder()
    if folder is None or len(files) < FEWEST_IMAGES:
        return None
    if is_private(folder):
        return folder / f"{_key(files)}.pixels"
    warnings.warn(
        f"images are decoded anew by every process: the cache folder {folder} must be yours, and "
        f"writable by you alone (chmod 700)",
        stacklevel=2,
    )
    return None


def _found_once(
    place: Path, files: Files, make: Callable[[Path], Scan | None], *, with_pixels: bool
) -> Scan | None:
    """What is kept of files, made by one process while others wait; none where there is no room."""

    def kept() -> Scan | None:
        return _kept(place, files, with_pixels=with_pixels)

    found = kept()
    if found is not None:
        return found
    held = locked(place.with_suffix(".lock"), wait=True)
    try:
        return kept() or make(place)
    finally:
        os.close(held)


def cache_folder() -> Path | None:
    """Where decoded images are kept; none when the environment says so."""
    chosen = os.environ.get("FFL_RAY_CACHE")
    if chosen is not None:
        return expanded(chosen) if chosen else None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ffl_ray"


def _decode(
    files: Files, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], *, skip_bad: bool
) -> Scan:
    """Decode files; the pixels of those that can be read come first, in order."""

    def one(position: int) -> int:
        with opened(files.source(position)) as image:
            pixels[position] = middle_of(image, files.image_shape)
            return orientation(image)

    scan = look_at(files, one)
    refuse_bad(files, scan, skip_bad=skip_bad)
    if scan.bad:
        for place, position in enumerate(scan.good(len(files)).nonzero().flatten().tolist()):
            pixels[place] = pixels[position]
    return scan


def _num_bytes(files: Files, count: int) -> int:
    return count * files.size**2 * 3


def _key(files: Files) -> str:
    """Changes with any file, the order of the files, the side and the decoder."""
    digest = hashlib.sha256(f"{DECODER} {files.size} {files.folder}".encode())
    for name, path in files.stored():
        facts = os.stat(path)  # noqa: PTH116
        digest.update(name + b"\0%d %d\n" % (facts.st_size, facts.st_mtime_ns))
    return digest.hexdigest()[:32]


def _kept(place: Path, files: Files, *, with_pixels: bool) -> Scan | None:
    """What was found earlier; none unless this user wrote it, and all of it."""
    note = read_own(place.with_suffix(".scan"))
    if note is None:
        return None
    try:
        bad, contents = json.loads(note)
        scan = Scan({int(position): reason for position, reason in bad.items()}, tuple(contents))
        facts = place.lstat() if with_pixels else None
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None
    size = _num_bytes(files, len(files) - len(scan.bad))
    return scan if facts is None or (_is_ours(facts) and facts.st_size == size) else None


def _is_ours(facts: os.stat_result) -> bool:
    return stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()


def _keep(place: Path, scan: Scan) -> None:
    with replaced(place.with_suffix(".scan"), 0o600) as file:
        file.write(json.dumps([scan.bad, scan.contents]).encode())


def _write(place: Path, files: Files, *, skip_bad: bool) -> Scan | None:
    """Decode into a file; not where it would fill the disk."""
    count = _num_bytes(files, len(files))
    _make_room(place.parent, count)
    disk = shutil.disk_usage(place.parent)
    if disk.free - count < FREE_SHARE * disk.total:
        return None
    with replaced(place, 0o600) as file:
        # A page that finds no room later would end the process.
        os.posix_fallocate(file.fileno(), 0, count)
        pixels = np.memmap(file, np.uint8, "r+", shape=(len(files), files.size, files.size, 3))
        scan = _decode(files, pixels, skip_bad=skip_bad)
        pixels.flush()
        file.truncate(_num_bytes(files, len(files) - len(scan.bad)))
        _keep(place, scan)
    return scan


def _make_room(folder: Path, num_bytes: int) -> None:
    """Delete what was used longest ago; whoever has it mapped keeps it until they end."""
    kept = sorted(folder.glob("*.pixels"), key=lambda file: file.stat().st_mtime)
    total = num_bytes + sum(file.stat().st_size for file in kept)
    for file in kept:
        if total <= MOST_BYTES:
            return
        total -= file.stat().st_size
        file.unlink()
        file.with_suffix(".scan").unlink(missing_ok=True)


def _mapped(place: Path, count: int, size: int) -> UInt8[Tensor, "images height width channels"]:
    flat = torch.from_file(str(place), shared=False, size=count * size**2 * 3, dtype=torch.uint8)
    return flat.view(count, size, size, 3)
