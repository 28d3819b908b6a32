"""Checksums of an exported folder: whether its files are those that were written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ffl_ray.errors import ExportError

METADATA = "metadata.json"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path) -> None:
    """Check a file against the metadata.json beside it; one without that is taken as it is.

    It finds damage. Who can change the file can change metadata.json too.

    Raises:
        ExportError: the file, or metadata.json, is not what was written.
    """
    about = path.parent / METADATA
    if not about.is_file() or not path.is_file():
        return
    try:
        known = json.loads(about.read_bytes()).get("sha256", {}).get(path.name)
    except (ValueError, AttributeError, RecursionError) as error:
        raise ExportError(f"{about} is damaged ({error}): export the model again") from error
    found = sha256(path)
    if known is not None and known != found:
        raise ExportError(
            f"{path} is damaged: its SHA-256 must be {known}, as {METADATA} says, not {found}: "
            f"export the model again"
        )
