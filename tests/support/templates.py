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
    """A new folder, filled as it is written for what is said.

    Args:
        said: all that is written, in what `repr` tells apart.
    """
    key = repr((said, writer.ROWS_PER_PART, writer.KEYED_ROWS_PER_PART))
    if key not in _made:
        template = Path(tempfile.mkdtemp(dir=FOLDERS().name), "study")
        write(template)
        _made[key] = template
    shutil.copytree(_made[key], folder)
