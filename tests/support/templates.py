"""Studies that many tests begin with: written once, and then copied."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ffl_ray.results import writer
from ffl_ray.results.study import StudyTables

FOLDERS = functools.cache(lambda: tempfile.TemporaryDirectory(prefix="ffl_ray-", dir="/tmp"))
_made: dict[str, Path] = {}


def filled(
    place: Path | str,
    said: object,
    opened: Callable[[Path | str], StudyTables],
    fill: Callable[[StudyTables], None],
    *,
    is_whole: bool,
) -> StudyTables:
    """The tables of a study, filled; copied into a new folder where none of it runs.

    Args:
        place: a folder, or a URI.
        said: all that is written, in what `repr` tells apart.
        is_whole: nothing of it runs; where one does, its writer holds rows back.
    """
    if not is_whole or "://" in str(place) or Path(place).exists():
        tables = opened(place)
        fill(tables)
        return tables
    key = repr((said, writer.ROWS_PER_PART, writer.KEYED_ROWS_PER_PART))
    if key not in _made:
        template = Path(tempfile.mkdtemp(dir=FOLDERS().name), "study")
        with closing(opened(template)) as tables:
            fill(tables)
        _made[key] = template
    shutil.copytree(_made[key], place)
    return opened(place)
