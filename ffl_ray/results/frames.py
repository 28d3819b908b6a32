"""The tables of a study as Arrow's and Polars' own, whose numbers are those that were read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from ffl_ray.config.overrides import nearest
from ffl_ray.errors import SettingError
from ffl_ray.results.description import read_description
from ffl_ray.results.parts import Parts
from ffl_ray.results.reader import Tables, find_study, table_of
from ffl_ray.results.schema import ALL_TABLES

if TYPE_CHECKING:
    import polars as pl


def arrow(study: str, table: str = "trials", storage_path: str | None = None) -> pa.Table:
    """A table of a study in Arrow's memory, a chunk for each part file, in the order written.

    Args:
        study: a folder or URI, or the name of a study under the storage path.
        table: a name of docs/schema.md; one that the study does not have is empty.
        storage_path: where studies are; by default ~/ray_results.

    Raises:
        SettingError: there is no such table.
        StudyError: no such study, or the table is damaged.
    """
    if table not in ALL_TABLES:
        known = ", ".join(ALL_TABLES)
        near = nearest(table, [*ALL_TABLES])
        raise SettingError(f"table must be one of {known}, not {table!r}{near}")
    storage = find_study(study, storage_path)
    read_description(storage)
    if table in Tables._fields:
        return table_of(storage, table)
    parts = Parts(storage, table)
    return pa.concat_tables([parts.schema.empty_table(), *parts.read_all()])


def polars(study: str, table: str = "trials", storage_path: str | None = None) -> pl.DataFrame:
    """The same in Polars, on the same memory: numbers and lists are not copied.

    Raises:
        SettingError: Polars is not installed, or there is no such table.
        StudyError: as `arrow`.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise SettingError("ffl_ray.results.polars needs Polars: pip install polars") from error
    frame = pl.from_arrow(arrow(study, table, storage_path), rechunk=False)
    assert isinstance(frame, pl.DataFrame), "of a table"
    return frame
