"""What a study's folder may not hold, whoever wrote it: it may come from somebody else."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ffl_ray.errors import StudyError
from ffl_ray.results.storage import Storage

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
FOLDERS = ("trials", "epochs", "members", "checkpoints", "confirmed", "ray")


def check_ids(rows: pa.Table, required: str | None = None) -> None:
    """Check that ids are plain names, which can't lead out of a folder.

    Args:
        required: a column of ids in which none may lack.

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
        if name == required and rows[name].null_count:
            raise ValueError(f"a row has no {name}")


def is_plain_id(text: object) -> bool:
    """Whether a text is a plain name of a trial or run."""
    return isinstance(text, str) and re.fullmatch(ID.removesuffix(r"\z"), text) is not None


def check_links(storage: Storage) -> None:
    """Check that a study's own folders are folders: by a link, others would be written and tidied.

    Raises:
        StudyError: one is a link.
    """
    if not storage.is_local:
        return
    for name in FOLDERS:
        path = Path(storage.location) / name
        if path.is_symlink():
            raise StudyError(
                f"{path} is a link to {path.readlink()}, and a study is written in its own "
                f"folders only: move what it links to here, or link the whole study"
            )


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
            return f"{key!r} is {str(value)[:80]!r}"
    if not re.fullmatch(STUDY, description["study"]):
        return f"the study's name is {description['study'][:120]!r}"
    if not re.fullmatch(KIND, description["kind"]):
        return f"the kind of study is {description['kind'][:80]!r}"
    bad = [v for v in (description.get("versions") or {}).values() if not isinstance(v, str)]
    return f"a version is {str(bad[0])[:80]!r}" if bad else None
