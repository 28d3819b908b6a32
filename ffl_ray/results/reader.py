"""The tables of a study, read as DataFrames or as rows.

Everything that can be wrong with a folder is refused here, in one line that names the study and
says what helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from ffl_ray.config.objectives import VALUE
from ffl_ray.errors import StudyError
from ffl_ray.results.classes import TABLE as CLASSES
from ffl_ray.results.description import COPY, read_description
from ffl_ray.results.guard import check_links
from ffl_ray.results.parts import AGAIN, Parts
from ffl_ray.results.predictions import TABLE as PREDICTIONS
from ffl_ray.results.roles import with_roles
from ffl_ray.results.storage.access import DEFAULT_STORAGE, open_for_reading
from ffl_ray.results.storage.storage import Storage, stays_inside

ORDER = {
    "trials": ["trial_id"],
    "epochs": ["trial_id", "epoch"],
    "members": ["trial_id", "checkpoint", "member"],
}


class Tables(NamedTuple):
    """The three tables that every study has."""

    trials: pd.DataFrame
    epochs: pd.DataFrame
    members: pd.DataFrame


class Results(Tables):
    """The tables of a study; docs/schema.md explains every column.

    Args:
        storage: the study's folder; predictions and classes are read when they are asked for.
    """

    storage: Storage

    @classmethod
    def of(cls, tables: Tables, storage: Storage) -> Results:
        """The results in a study's folder."""
        found = cls(*tables)
        found.storage = storage
        return found

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """What each member makes of every image; empty where no training kept it.

        Raises:
            StudyError: the table is damaged.
        """
        return _extra(self.storage, PREDICTIONS, ["trial_id", "member"])

    @cached_property
    def classes(self) -> pd.DataFrame:
        """How each member does by class; empty where no training kept it.

        Raises:
            StudyError: the table is damaged.
        """
        return _extra(self.storage, CLASSES, ["trial_id", "member", "class_index"])


def load(study: str, storage_path: str | None = None) -> Results:
    """The three tables of a study, finished or still running.

    Args:
        study: a folder or URI, or the name of a study under the storage path.
        storage_path: where studies are; by default ~/ray_results.

    Raises:
        StudyError: no such study, a damaged or missing table, or a schema newer than this
            version's.
    """
    storage = find_study(study, storage_path)
    read_description(storage)
    return load_tables(storage)


def load_tables(storage: Storage) -> Results:
    """The three tables in a study's folder.

    Raises:
        StudyError: a table is missing or damaged.
    """
    found = Tables(*(_table(storage, name) for name in Tables._fields))
    return Results.of(found._replace(members=with_roles(found.members, found.trials)), storage)


def find_study(study: str, storage_path: str | None = None) -> Storage:
    """The folder of a study.

    Raises:
        StudyError: there is none, or it lost its study.json, or a part of it leads elsewhere.
    """
    inside = None
    if "://" not in study and stays_inside(study.rstrip("/")):
        inside = open_for_reading(storage_path or DEFAULT_STORAGE).study(study.rstrip("/"))
    places = [storage for storage in (open_for_reading(study), inside) if storage is not None]
    for storage in places:
        if storage.exists("study.json"):
            check_links(storage)
            return storage
    for storage in places:
        if any(storage.exists(name) for name in Tables._fields):
            raise StudyError(
                f"{storage.location} is half-written: it has tables and no study.json; {COPY}"
            )
    named = " or ".join(storage.location for storage in places)
    raise StudyError(
        f"no study here: {named} holds no study.json; give a study's folder, or its name with "
        f"--storage-path"
    )


def check_has_trials(storage: Storage, trials: pd.DataFrame) -> None:
    """Check that a study has at least one trial, be it a running one.

    Raises:
        StudyError: it has none yet.
    """
    if trials.empty:
        raise StudyError(
            f"{storage.location} has no trial yet: wait for its first one, or start its command "
            f"again"
        )


def read_rows(storage: Storage, table: str) -> list[dict[str, Any]]:
    """A table's rows as plain values.

    Raises:
        StudyError: it is missing or damaged.
    """
    return [row for part in _parts(storage, table) for row in part.to_pylist()]


def objective_by_epoch(storage: Storage) -> dict[str, dict[int, float]]:
    """The setting objective after each finished epoch, by trial.

    Raises:
        StudyError: the epochs table is missing or damaged.
    """
    return _by_epoch(storage, VALUE)


def seconds_by_epoch(storage: Storage) -> dict[str, dict[int, float]]:
    """The accelerator-seconds of a trial until each finished epoch, by trial.

    Raises:
        StudyError: the epochs table is missing or damaged.
    """
    return _by_epoch(storage, "accelerator_s")


def _by_epoch(storage: Storage, column: str) -> dict[str, dict[int, float]]:
    values: dict[str, dict[int, float]] = {}
    columns = ("trial_id", "epoch", column)
    for part in _parts(storage, "epochs", columns):
        for trial_id, epoch, value in zip(*(part[c].to_pylist() for c in columns), strict=True):
            values.setdefault(trial_id, {})[epoch] = value
    return values


def _parts(storage: Storage, table: str, columns: Sequence[str] | None = None) -> list[pa.Table]:
    """A table's parts; a writer makes the first one before anything else."""
    parts = Parts(storage, table)
    if not parts.names():
        raise StudyError(
            f"{storage.location} is half-written: it has no {table} table; {COPY}, or start its "
            f"command again"
        )
    found = parts.read_all(columns)
    gone = parts.gone()
    if gone:
        raise StudyError(f"{storage.child(f'{table}/{gone[0]}').location} is gone: {AGAIN}")
    return found


def table_of(storage: Storage, name: str) -> pa.Table:
    """One of a study's tables, a chunk for each part.

    Raises:
        StudyError: it is missing or damaged.
    """
    return pa.concat_tables(_parts(storage, name))


def _table(storage: Storage, name: str) -> pd.DataFrame:
    """The same as a frame, in order."""
    frame: pd.DataFrame = table_of(storage, name).to_pandas(types_mapper=_nullable)
    return frame.sort_values(ORDER[name], ignore_index=True)


def _extra(storage: Storage, name: str, order: list[str]) -> pd.DataFrame:
    """A table that not every study has, as a frame; empty where there is none."""
    parts = Parts(storage, name)
    table = pa.concat_tables([parts.schema.empty_table(), *parts.read_all()])
    frame: pd.DataFrame = table.to_pandas(types_mapper=_nullable)
    return frame.sort_values(order, ignore_index=True)


def _nullable(kind: pa.DataType) -> Any:
    """Pandas' nullable types, so that a missing integer does not turn a column into floats."""
    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(kind)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A DataFrame's rows, with None for what is missing and lists for what a cell holds many of."""
    columns = [_plain(frame.iloc[:, place]) for place in range(frame.shape[1])]
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain(column: pd.Series[Any]) -> list[Any]:
    """A column's cells as plain values."""
    missing, cells = column.isna().tolist(), column.astype(object).tolist()
    if pd.api.types.is_object_dtype(column.dtype):
        cells = [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in cells]
    return [None if gone else cell for gone, cell in zip(missing, cells, strict=True)]
