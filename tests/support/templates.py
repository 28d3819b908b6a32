"""Studies that many tests begin with: written once, and then copied."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ffl_ray.results import writer

FOLDERS = functools.cache(lambda: tempfile.TemporaryDirectory(prefix="ffl_ray-", dir="/tmp"))
_made: dict[str, Path] = {}


def copied(folder: Path, said: object, write: Callable[[Path], object]) -> None:
    """Fill a folder as it is written for what is said; one that is there is written into.

    Args:
        said: all that is written, in what `repr` tells apart.
    """
    if folder.exists():
        write(folder)
        return
    key = repr((said, writer.ROWS_PER_PART, writer.KEYED_ROWS_PER_PART))
    if key not in _made:
        template = Path(FOLDERS().name, str(len(_made)))
        write(template)
        _made[key] = template
    shutil.copytree(_made[key], folder)
