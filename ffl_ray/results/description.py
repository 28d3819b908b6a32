"""The description of a study, study.json: made, read, mended, and held against new settings."""

from __future__ import annotations

import contextlib
import functools
import json
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from ffl_ray.config.older import to_go_on_with
from ffl_ray.config.overrides import brief, flatten
from ffl_ray.config.settings import StudyConfig
from ffl_ray.config.settings_file import NAME as SETTINGS_FILE
from ffl_ray.config.settings_file import settings_text
from ffl_ray.data.facts import DataFacts, differences
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.results.guard import flaw_in
from ffl_ray.results.parts import AGAIN
from ffl_ray.results.program import program_hash
from ffl_ray.results.schema import SCHEMA_VERSION
from ffl_ray.results.storage.retry import LOG
from ffl_ray.results.storage.storage import COPIES, Storage

DESCRIPTION = "study.json"
# Settings that say where something is, or whether it may be fetched: a command's own.
MOVES = frozenset(("data.dir", "data.download"))
SPACE = "search_space"  # the setting that is a hash of what study.json has as space
LIST_ALL = ("search", "train")  # kinds of studies that list every setting
COPY = "copy the whole folder again from where it was written"
PACKAGES = ("ffl_ray", "torch", "torchvision", "ray", "optuna", "pandas", "pyarrow")
UNREADABLE = (ValueError, RecursionError)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_name(name: str) -> str:
    """A study's name, when it is a plain folder name.

    Raises:
        SettingError: it could leave the storage folder, or is no name on some file system.
    """
    if not _NAME.fullmatch(name):
        raise SettingError(
            f"--name must be letters, digits, '.', '_' and '-', begin with a letter or digit and "
            f"have at most 100, not {brief(repr(name))}"
        )
    return name


def default_name(kind: str) -> str:
    """A name for a study that was given none: its kind and the time."""
    return f"{kind}-{datetime.now():%Y%m%d-%H%M%S}"


def describe_study(kind: str, settings: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What study.json is to say: settings, versions, commit, machine."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": dict(settings),
        "versions": {"python": platform.python_version()} | _versions(),
        "git_commit": _git_commit(),
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        **more,
    }


def check_goes_on(
    storage: Storage,
    kind: str,
    settings: Mapping[str, Any],
    may_change: frozenset[str] = frozenset(),
) -> bool:
    """Whether a folder holds a study that goes on with these settings; False when it holds none.

    Raises:
        StudyError: it holds a study of another kind or with other settings; these are shown.
    """
    if not storage.exists("study.json"):
        return False
    mend_description(storage)
    before = read_description(storage)
    if before["kind"] != kind:
        raise StudyError(
            f"{storage.location} holds a study of kind {before['kind']}: choose another --name"
        )
    again = "choose another --name, or give the old settings"
    known = to_go_on_with(before["settings"])
    if SPACE in known and "space" in before:  # by its text, whatever it was hashed by
        known[SPACE] = program_hash(before["space"])
    if kind in LIST_ALL:
        known = {name: default for name, default in _defaults().items() if name in settings} | known
    check_same_settings(storage.location, known, settings, may_change, otherwise=again)
    return True


def check_same_data(
    place: str, before: Mapping[str, Any], facts: DataFacts, *, kept: str, **alike: bool
) -> None:
    """Check that data are those of a study, as far as its study.json says.

    Args:
        place: of the study, for the message.
        before: what its study.json says.
        kept: what is done with them, for the message: `goes on`, `is confirmed`.
        alike: as `differences` takes it.

    Raises:
        StudyError: they differ; it is said in what.
    """
    try:
        differing = differences(before.get("data") or {}, facts, **alike)
    except ValueError as error:
        raise StudyError(f"{place}/{DESCRIPTION} is damaged ({error}): {COPY}") from error
    if differing:
        raise StudyError(
            f"{place} {kept} only with the data it began with, and {differing}: give the same "
            f"images with --data-dir, or begin another study"
        )


def write_description(
    storage: Storage, description: Mapping[str, Any], may_change: frozenset[str]
) -> None:
    """Write the description of a new study, or hold that of an earlier one against what is now.

    What an older version did not know of its data is added, and where the data are now.

    Args:
        description: of the study as it is now.

    Raises:
        StudyError: the folder holds a study with other settings or data, or can't be written.
    """
    text = json.dumps(description, indent=2, default=str)
    if check_goes_on(storage, description["kind"], description["settings"], may_change):
        before = read_description(storage)
        if "data" in description:
            facts = DataFacts(**description["data"])
            check_same_data(storage.location, before, facts, kept="goes on")
        now = json.loads(text)
        data = (before.get("data") or {}) | (now.get("data") or {})
        places = {name: now["settings"][name] for name in MOVES & now["settings"].keys()}
        text = json.dumps(
            before | {"data": data, "settings": before["settings"] | places}, indent=2
        )
        if json.loads(text) == before:
            return
    try:
        storage.write(DESCRIPTION, text.encode(), copied=True)
        if description["kind"] in LIST_ALL:
            _write_settings(storage, description)
    except OSError as error:
        raise StudyError(f"{storage.location} can't be written: {error}") from error


def _write_settings(storage: Storage, description: Mapping[str, Any]) -> None:
    """Write the settings as a file that its command takes; a training has none of a search."""
    kept = {
        name: value
        for name, value in description["settings"].items()
        if description["kind"] == "search" or not name.startswith("search.")
    }
    storage.write(SETTINGS_FILE, settings_text(kept).encode(), copied=True)


def _defaults() -> dict[str, Any]:
    """What a setting was, as JSON, in a study whose version did not know it yet."""
    plain: dict[str, Any] = json.loads(json.dumps(flatten(StudyConfig())))
    return plain


def check_same_settings(
    place: str,
    before: Mapping[str, Any],
    settings: Mapping[str, Any],
    may_change: frozenset[str] = frozenset(),
    *,
    otherwise: str,
) -> None:
    """Check that a study that goes on has the settings it began with, as study.json keeps them.

    Args:
        place: of the study, for the message.
        otherwise: what helps, for the message.

    Raises:
        StudyError: they differ, apart from those that may change.
    """
    now = json.loads(json.dumps(settings, default=str))
    changed = [
        f"{_named(key)} was {_given(before, key)} and is {_given(now, key)}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in may_change
    ]
    if changed:
        raise StudyError(
            f"{place} goes on only with the settings it began with, and {'; '.join(changed)}: "
            f"{otherwise}"
        )


def _named(key: str) -> str:
    return key if "." in key or key == SPACE else f"--{key.replace('_', '-')}"  # an option's


def _given(settings: Mapping[str, Any], key: str) -> str:
    value = settings.get(key, "not given")
    return " ".join(map(str, value if isinstance(value, list) else [value]))


@functools.cache
def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def _git_commit() -> str | None:
    """Commit of the code that runs, when it runs from a git checkout."""
    folder = Path(__file__).parent
    for words in (["ls-files", "--error-unmatch", Path(__file__).name], ["rev-parse", "HEAD"]):
        command = ["git", "-C", str(folder), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
    return done.stdout.strip()


def read_description(storage: Storage) -> dict[str, Any]:
    """What study.json says.

    Raises:
        StudyError: it is missing, damaged, or written by a newer version.
    """
    data = storage.read(DESCRIPTION)
    if data is None:
        raise StudyError(f"no study here: {storage.location} holds no study.json")
    try:
        description = _parsed(data)
    except UNREADABLE as error:
        raise _damaged(storage, str(error)) from error
    version = description["schema_version"]
    if version > SCHEMA_VERSION:
        raise StudyError(
            f"{storage.location} has schema version {version}, and this ffl_ray reads up to "
            f"{SCHEMA_VERSION}: upgrade ffl_ray"
        )
    return description


def mend_description(storage: Storage) -> None:
    """Put the copy of study.json in its place, where that one can't be read."""
    data = storage.read(DESCRIPTION)
    copy = storage.read(f"{COPIES}/{DESCRIPTION}") if data is not None else None
    if data is None or copy is None:
        return
    try:
        _parsed(data)
    except UNREADABLE:
        with contextlib.suppress(*UNREADABLE):
            _parsed(copy)
            storage.write(DESCRIPTION, copy)
            place = storage.child(DESCRIPTION).location
            LOG.warning("%s was damaged, and was mended from its copy", place)


def _parsed(data: bytes) -> dict[str, Any]:
    """A description.

    Raises:
        ValueError: it is none.
    """
    description: dict[str, Any] = json.loads(data)
    version = description.get("schema_version") if isinstance(description, dict) else None
    newer = isinstance(version, int) and version > SCHEMA_VERSION
    flaw = None if newer else flaw_in(description)
    if flaw:
        raise ValueError(flaw)
    return description


def _damaged(storage: Storage, reason: str) -> StudyError:
    helps = f"{AGAIN}, or {COPY}" if storage.exists(f"{COPIES}/{DESCRIPTION}") else COPY
    return StudyError(f"{storage.child(DESCRIPTION).location} is damaged ({reason}): {helps}")
