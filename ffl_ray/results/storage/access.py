"""Access to a place for studies: asked for at once, and not after an hour of training."""

from __future__ import annotations

import os
import shlex
import uuid
from pathlib import Path

from ffl_ray.errors import StudyError, on_one_line
from ffl_ray.results.storage.retry import may_pass
from ffl_ray.results.storage.storage import Storage

DEFAULT_STORAGE = "~/ray_results"
DENIED = ("ACCESS_DENIED", "HTTP status 403", "Forbidden", "PERMISSION_DENIED", "UNAUTHENTICATED")
NO_CREDENTIALS = ("Could not create a OAuth2", "Could not automatically determine credentials")
WRONG_KEY = ("INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_CLIENT_TOKEN_ID")


def open_for_writing(uri: str, *, probe: bool = True) -> Storage:
    """A place for studies that answers and can be written to.

    Args:
        probe: write to an object store and see; a file tree is only asked.

    Raises:
        StudyError: it can't be used, in one line that says what to do.
    """
    return _opened(uri, writing=True, probe=probe)


def study_storage(path: str | None, name: str) -> Storage:
    """The folder of a study of this name, in a place that can be written to.

    Raises:
        StudyError: it can't be used.
    """
    return open_for_writing(path or DEFAULT_STORAGE).study(name)


def as_argument(location: str) -> str:
    """A study as a command takes it, quoted for a shell: by name in the default place, else whole.

    Args:
        location: of its folder, which may have moved since study.json named it.
    """
    folder, _, name = location.rpartition("/")
    default = str(Path(DEFAULT_STORAGE).expanduser())
    return shlex.quote(name if folder == default else location)


def open_for_reading(uri: str) -> Storage:
    """A place of studies that answers.

    Raises:
        StudyError: it can't be used, in one line that says what to do.
    """
    return _opened(uri, writing=False, probe=False)


def _opened(uri: str, *, writing: bool, probe: bool) -> Storage:
    place = uri
    try:
        first = Storage(uri, once=True)
        place = first.location
        if first.is_local:
            if writing:
                _check_folder(Path(place))
        else:
            if not first.has_bucket():
                raise StudyError(f"{place} can't be used: there is no such bucket; create it first")
            if probe:
                _try_out(first)
    except OSError as error:
        raise StudyError(f"{place} can't be used: {_reason(error)}") from error
    return Storage(uri)


def _check_folder(path: Path) -> None:
    """Check that a folder can be written to, or be created.

    Raises:
        StudyError: it can't.
    """
    there = path
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise StudyError(f"{path} can't be created: {there} is no folder")
    effective = os.access in os.supports_effective_ids
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=effective):
        raise StudyError(
            f"{path} can't be written to: {there} is read-only, or not this user's; choose another "
            f"--storage-path"
        )


def _try_out(storage: Storage) -> None:
    """Write a small file, and remove it."""
    name = f".probe-{uuid.uuid4().hex}"
    storage.write(name, b"whether this can be written")
    storage.delete(name)


def _reason(error: OSError) -> str:
    """What an object store's error means, and what helps."""
    text = on_one_line(error)
    if any(words in text for words in WRONG_KEY):
        return f"it does not know these credentials; check them ({_short(text)})"
    if any(words in text for words in (*DENIED, *NO_CREDENTIALS)):
        return (
            f"access is denied; give credentials in the environment or in the cloud tools' own "
            f"files, with the right to list, read, write and delete ({_short(text)})"
        )
    if may_pass(error):
        return f"it does not answer; check the address and the network ({_short(text)})"
    return _short(text)


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
