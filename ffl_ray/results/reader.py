"""Reading a study: its tables as DataFrames, its description as a dictionary."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from ffl_ray.errors import StudyError
from ffl_ray.results.parts import Parts
from ffl_ray.results.schema import SCHEMA_VERSION
from ffl_ray.results.storage import Storage

DEFAULT_STORAGE = "~/ray_results"
ORDER = {
    "trials": ["trial_id"],
    "epochs": ["trial_id", "epoch"],
    "members": ["trial_id", "checkpoint", "member"],
}


class Results(NamedTuple):
    """The tables of a study; docs/schema.md explains every column."""

    trials: pd.DataFrame
    epochs: pd.DataFrame
    members: pd.DataFrame


def load(study: str, storage_path: str | None = None) -> Results:
    """The three tables of a study, finished or still running.

    Args:
        study: a folder or URI, or the name of a study under the storage path.
        storage_path: where studies are; by default ~/ray_results.

    Raises:
        StudyError: no such study, a damaged table, or a schema newer than this version's.
    """
    storage = find_study(study, storage_path)
    read_description(storage)
    return Results(*(_table(storage, name) for name in Results._fields))


def find_study(study: str, storage_path: str | None = None) -> Storage:
    """The folder of a study.

    Raises:
        StudyError: there is none.
    """
    inside = Storage(storage_path or DEFAULT_STORAGE).child(study) if "://" not in study else None
    for storage in filter(None, (Storage(study), inside)):
        if storage.exists("study.json"):
            return storage
    places = study if inside is None else f"{Path(study).expanduser()} or {inside.location}"
    raise StudyError(f"no study here: {places} holds no study.json")


def read_description(storage: Storage) -> dict[str, Any]:
    """What study.json says.

    Raises:
        StudyError: it is missing, damaged, or written by a newer version.
    """
    data = storage.read("study.json")
    if data is None:
        raise StudyError(f"no study here: {storage.location} holds no study.json")
    try:
        description: dict[str, Any] = json.loads(data)
        version = int(description["schema_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{storage.location}/study.json is damaged: {error}") from error
    if version > SCHEMA_VERSION:
        raise StudyError(
            f"{storage.location} has schema version {version}, and this ffl_ray reads up to "
            f"{SCHEMA_VERSION}: upgrade ffl_ray"
        )
    return description


def _table(storage: Storage, name: str) -> pd.DataFrame:
    parts = Parts(storage, name)
    with ThreadPoolExecutor() as pool:
        tables = list(pool.map(parts.read, parts.names()))
    table = pa.concat_tables(tables) if tables else parts.schema.empty_table()
    frame: pd.DataFrame = table.to_pandas(types_mapper=_nullable)
    return frame.sort_values(ORDER[name], ignore_index=True)


def _nullable(kind: pa.DataType) -> Any:
    """Pandas' nullable types, so that a missing integer does not turn a column into floats."""
    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(kind)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A DataFrame's rows, with None for what is missing."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [dict(zip(plain.columns, row, strict=True)) for row in plain.itertuples(index=False)]
