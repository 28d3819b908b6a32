"""The guard of what is read: a study that comes from somebody else may hold anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ffl_ray.errors import FFLRayError, StudyError, on_one_line
from ffl_ray.results.columns import STATUSES
from ffl_ray.results.storage.storage import Storage

# Ids become names of folders and files.
ID_COLUMNS = ("trial_id", "run_id", "member")
ID = r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,99}\z"
STUDY = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/confirmed)?"
KIND = r"[a-z]{1,20}"
# What study.json must say, and what it may: of which type, and whether it must.
KEYS: dict[str, tuple[type, bool]] = {
    "schema_version": (int, True),
    "study": (str, True),
    "kind": (str, True),
    "settings": (dict, True),
    "created": (str, False),
    "versions": (dict, False),
    "git_commit": (str, False),
    "machine": (dict, False),
    "space": (str, False),
    "plan": (dict, False),
    "data": (dict, False),
}
MOST_EPOCHS = 10**7
LARGEST = 2**53 - 1  # whole as a float, and as microseconds until the year 2255
MOST_MISSING = 10_000  # trials that were proposed and killed before they began
MOST_ROWS = 2**16  # of a part; no version wrote more than 2,048
MOST_CLASS_ROWS = 2**20  # a training's are one part: of each member and class
MOST_BYTES = 2**29  # of a part in memory, were each text as long as all of its column
ONCE = {"PLAIN", "RLE", "BIT_PACKED"}  # encodings of which each value takes its own bytes
# Whatever else is in a study's folder is nobody's that reads or writes it.
OWN = (
    *("study.json", "trials", "epochs", "members", "predictions", "classes"),
    *("checkpoints", "confirmed", "steering"),
    *(".copies", ".lock"),
    *("report.html", "report.md", "report", "replay", "log.txt"),
    *("tensorboard", "wandb", "trackio"),
    *("mlflow.db", "mlflow.db-journal", "mlflow.db-wal", "mlflow.db-shm"),
)


def check_rows(rows: pa.Table, table: str) -> None:
    """Check what every reader of a table builds on.

    Raises:
        ValueError: an id could lead out of a folder, a count or time can't be, or a trial has no
            id or no known status.
    """
    check_ids(rows)
    check_ranges(rows)
    if table != "trials":
        return
    if "trial_id" in rows.column_names and rows["trial_id"].null_count:
        raise ValueError("a row has no trial_id")
    for status in rows["status"].unique().to_pylist() if "status" in rows.column_names else ():
        if status not in STATUSES:
            raise ValueError(f"a status must be one of {', '.join(STATUSES)}, not {status!r}")


def check_ids(rows: pa.Table) -> None:
    """Check that ids are plain names, which can't lead out of a folder.

    Raises:
        ValueError: one is not.
    """
    for name in ID_COLUMNS:
        if name not in rows.column_names:
            continue
        plain = pc.match_substring_regex(rows[name], ID)
        if not pc.all(plain, min_count=0).as_py():
            found = rows[name].to_pylist()[plain.to_pylist().index(False)]
            raise ValueError(
                f"a {name} must be letters, digits, '_' and '-', at most 100, not {found[:120]!r}"
            )


def check_ranges(rows: pa.Table) -> None:
    """Check that counts and times are such as there can be: nobody draws 10^13 epochs.

    Raises:
        ValueError: one is not.
    """
    for field in rows.schema:
        if not (pa.types.is_int64(field.type) or pa.types.is_timestamp(field.type)):
            continue
        unit = (field.metadata or {}).get(b"unit")
        low, high = (0, MOST_EPOCHS) if unit == b"epochs" else (-LARGEST, LARGEST)
        found = pc.min_max(rows[field.name].cast(pa.int64())).as_py()
        for value in found.values():
            if value is not None and not low <= value <= high:
                raise ValueError(f"{field.name} must be from {low} to {high}, not {value}")


def check_numbers(trial_ids: Iterable[str]) -> None:
    """Check that trials are numbered, with no gaps that only wrong numbers explain.

    Raises:
        ValueError: they are not.
    """
    ids = list(trial_ids)
    numbers = [int(trial_id) for trial_id in ids]
    odd = [one for one, n in zip(ids, numbers, strict=True) if one != f"{n:05d}"]
    if odd or len(set(ids)) < len(ids):
        raise ValueError(f"trials are numbered by five digits, each its own, not {odd[:1] or ids}")
    last = max(numbers, default=-1)
    if last + 1 - len(ids) > MOST_MISSING:
        raise ValueError(f"there is a trial {last} among {len(ids)}")


def check_size(part: pq.FileMetaData, most_rows: int = MOST_ROWS) -> None:
    """Check that a part is no larger, once it is read, than a part may be.

    A few bytes of a Parquet file can stand for any number of equal values.

    Raises:
        ValueError: it is.
    """
    groups = [part.row_group(i) for i in range(part.num_row_groups)]
    columns = [group.column(i) for group in groups for i in range(part.num_columns)]
    num_bytes = sum(_most_bytes(chunk) for chunk in columns)
    if part.num_rows > most_rows or num_bytes > MOST_BYTES:
        raise ValueError(f"its {part.num_rows} rows may take {num_bytes} bytes")


def _most_bytes(chunk: pq.ColumnChunkMetaData) -> int:
    """What a column may take in memory: a text of a dictionary may stand in every row."""
    if "BYTE" not in chunk.physical_type:
        return int(chunk.num_values * 8)
    size: int = chunk.total_uncompressed_size
    if ONCE.issuperset(chunk.encodings):
        return int(size + chunk.num_values * 8)
    return int(chunk.num_values * size)


@contextmanager
def understood(place: str) -> Iterator[None]:
    """Refuse a study whose tables hold what no study has, rather than fail on it somewhere.

    The checks of single values end somewhere; what comes out of them here is still one line.

    Args:
        place: what holds the tables, for the message.

    Raises:
        StudyError: the block failed on a value.
    """
    try:
        yield
    except FFLRayError:
        raise
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        reason = on_one_line(error)[:300]
        raise StudyError(
            f"{place} holds values that no study has ({type(error).__name__}: {reason}): copy the "
            f"whole folder again from where it was written"
        ) from error


def is_plain_id(text: object) -> bool:
    """Whether a text is a plain name of a trial or run."""
    return isinstance(text, str) and re.fullmatch(ID.removesuffix(r"\z"), text) is not None


def check_links(storage: Storage) -> None:
    """Check that what a study has is its own: by a link, others would be written and tidied.

    Raises:
        StudyError: something is a link, a pipe or a device.
    """
    if storage.is_local:
        for name in OWN:
            storage.path(name)
        folder = storage.path("checkpoints")
        for trial in folder.iterdir() if folder.is_dir() else ():
            storage.path(f"checkpoints/{trial.name}")


def flaw_in(description: object) -> str | None:
    """What is wrong with the content of a study.json, if anything is.

    Its names become parts of paths and commands, and each key is read as of one kind.
    """
    if not isinstance(description, dict):
        return "it is no object"
    for key, (kind, needed) in KEYS.items():
        value = description.get(key)
        if value is None and not needed:
            continue
        if key not in description:
            return f"it has no {key!r}"
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"{key!r} is {repr(value)[:80]}"
    if not re.fullmatch(STUDY, description["study"]):
        return f"the study's name is {description['study'][:120]!r}"
    if not re.fullmatch(KIND, description["kind"]):
        return f"the kind of study is {description['kind'][:80]!r}"
    return _flaw_in_values(description)


def _flaw_in_values(description: dict[str, object]) -> str | None:
    """What is wrong with a version, or an integer, if anything is."""
    versions = description.get("versions")
    for value in versions.values() if isinstance(versions, dict) else ():
        if not isinstance(value, str):
            return f"a version is {repr(value)[:80]}"
    large = next((one for one in _integers(description) if abs(one[1]) > LARGEST), None)
    return f"{large[0][:80]!r} is {str(large[1])[:80]}, beyond {LARGEST}" if large else None


def _integers(value: object, place: str = "") -> Iterator[tuple[str, int]]:
    """The integers in a JSON value, each with where it stands."""
    if isinstance(value, int):
        yield place, value
        return
    parts: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, part in parts:
        yield from _integers(part, f"{place}.{key}" if place else str(key))
