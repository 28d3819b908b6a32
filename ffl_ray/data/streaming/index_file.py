"""What is read of large files once a machine, and kept beside the decoded images."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ffl_ray.data.streaming.decoded import cache_folder
from ffl_ray.files import is_private, locked, read_own, replaced

VERSION = 1  # counts the changes of what is kept

Arrays = Mapping[str, np.ndarray[Any, Any]]


def kept_arrays(files: Sequence[str], make: Callable[[], Arrays]) -> Arrays:
    """Arrays that are made of files by one process, while others wait, and read by the next.

    They are made anew when a file has another size or time, and where nothing can be kept.
    """
    try:
        folder = cache_folder()
        if folder is None or not is_private(folder):
            return make()
        place = folder / f"{_key(files)}.index"
        return _read(place) or _made(place, make)
    except OSError:
        return make()


def _made(place: Path, make: Callable[[], Arrays]) -> Arrays:
    held = locked(place.with_suffix(".lock"), wait=True)
    try:
        found = _read(place)
        if found is not None:
            return found
        arrays = make()
        with replaced(place, 0o600) as file:
            np.savez(file, allow_pickle=False, **arrays)
        return arrays
    finally:
        os.close(held)


def _read(place: Path) -> Arrays | None:
    """What is kept; none unless this user wrote it, and all of it."""
    found = read_own(place)
    if found is None:
        return None
    try:
        with np.load(io.BytesIO(found), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _key(files: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{VERSION}".encode())
    for path in files:
        facts = os.stat(path)  # noqa: PTH116
        digest.update(os.fsencode(path) + b"\0%d %d\n" % (facts.st_size, facts.st_mtime_ns))
    return digest.hexdigest()[:32]
