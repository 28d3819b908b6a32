"""A look at every image file: which can't be read, and a digest of those that can."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from ffl_ray.data.dataset import Files
from ffl_ray.data.streaming.image_file import Source, digest, opened, orientation, upright
from ffl_ray.errors import DataError

MOST_NAMED = 20  # files of an error
CHUNK = 64  # files that a thread takes at once


class Scan(NamedTuple):
    """What a look at files found.

    Attributes:
        bad: why a file can't be read, by its position.
        contents: of each class, a digest of the names and bytes of its other files.
    """

    bad: dict[int, str]
    contents: tuple[str, ...]

    def good(self, count: int) -> Bool[Tensor, "files"]:
        """Which of so many files can be read."""
        found = torch.ones(count, dtype=torch.bool)
        found[list(self.bad)] = False
        return found

    def named(self, files: Files) -> tuple[tuple[str, str], ...]:
        """The files that can't be read, each with the reason."""
        return tuple((os.fsdecode(files.names[i]), reason) for i, reason in self.bad.items())


def look_at(files: Files, read: Callable[[int], int]) -> Scan:
    """What reading every file once finds.

    Args:
        read: reads the file at a position as an image, and gives its orientation; raises OSError
            where it can't.
    """

    def one(position: int) -> bytes | str:
        try:
            return digest(files.source(position), read(position))
        except OSError as error:
            return str(error)

    def some(first: int) -> list[bytes | str]:
        return [one(position) for position in range(first, min(first + CHUNK, len(files)))]

    with ThreadPoolExecutor() as pool:
        found = [one for part in pool.map(some, range(0, len(files), CHUNK)) for one in part]
    bad = {position: one for position, one in enumerate(found) if isinstance(one, str)}
    return Scan(bad, _contents(files, found))


def _contents(files: Files, found: list[bytes | str]) -> tuple[str, ...]:
    """The classes' digests, whatever the order of the files."""
    labels = files.labels.tolist()
    digests = [hashlib.sha256() for _ in range(max(labels, default=-1) + 1)]
    for name, position in sorted((name, i) for i, name in enumerate(files.names.tolist())):
        one = found[position]
        if isinstance(one, bytes):
            digests[labels[position]].update(name + b"\0" + one)
    return tuple(digest.hexdigest()[:16] for digest in digests)


def check_readable(source: Source) -> int:
    """The orientation of an image file that can be decoded; a JPEG is, at an eighth of its size.

    Raises:
        OSError: it can't.
    """
    with opened(source) as image:
        image.draft("RGB", (1, 1))
        upright(image, 3)
        image.load()
        return orientation(image)


def refuse_bad(files: Files, scan: Scan, *, skip_bad: bool) -> None:
    """Refuse files that can't be read, all at once.

    Args:
        skip_bad: a part of them may be left out.

    Raises:
        DataError: there are some.
    """
    if not scan.bad or (skip_bad and len(scan.bad) < len(files)):
        return
    bad = [
        f"{files.shown(i)} can't be read as an image: {reason}" for i, reason in scan.bad.items()
    ]
    more = f"; and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
    raise DataError(
        f"data.dir: {'; '.join(bad[:MOST_NAMED])}{more}: mend or remove "
        f"{'it' if len(bad) == 1 else 'them'}, or go on without, with --skip-bad-files"
    )
