"""The guard of what is read: a study that comes from somebody else may hold anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from ffl_ray.errors import FFLRayError, StudyError
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
WIDEST_GAP = 10_000  # trials that were proposed and killed before they began
# Whatever else is in a study's folder is nobody's that reads or writes it.
OWN = (
    *("study.json", "trials", "epochs", "members", "checkpoints", "confirmed", ".copies", ".lock"),
    *("report.html", "report.md", "report", "log.txt", "tensorboard", "wandb"),
    *("mlflow.db", "mlflow.db-journal", "mlflow.db-wal", "mlflow.db-shm"),
)


def check_rows(rows: pa.Table, table: str) -> None:
    """Check what every reader of a table builds on.

    Raises:
        ValueError: an id could lead out of a folder, or a trial has no id or no known status.
    """
    check_ids(rows)
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


def check_numbers(trial_ids: Iterable[str]) -> None:
    """Check that trials are numbered, with no gap that only a wrong number explains.

    Raises:
        ValueError: they are not.
    """
    before = -1
    for number in sorted(int(trial_id) for trial_id in trial_ids):
        if number - before > WIDEST_GAP:
            raise ValueError(f"there is a trial {number} after {before}")
        before = number


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
        reason = " ".join(str(error).split())[:300]
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
    bad = [v for v in (description.get("versions") or {}).values() if not isinstance(v, str)]
    return f"a version is {repr(bad[0])[:80]}" if bad else None
