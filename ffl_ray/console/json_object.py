"""One JSON object on standard output, everything else on standard error: what --json asks for."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_TOLD: list[dict[str, Any]] = []


def tell(**fields: Any) -> None:
    """Add fields to the object that is being written; nothing where none is asked for."""
    if _TOLD:
        _TOLD[-1].update(fields)


@contextlib.contextmanager
def json_object(command: str) -> Iterator[None]:
    """A block whose fields become one line of JSON when it ends.

    Whatever is written to standard output meanwhile, by Python, by a library or by a process that
    is started, goes to standard error.
    """
    fields: dict[str, Any] = {"command": command}
    _TOLD.append(fields)
    try:
        with _out_is_err():
            yield
    finally:
        _TOLD.pop()
        # In ASCII: a name of a file, or a terminal, may be of another encoding.
        sys.stdout.write(json.dumps(plain(fields)) + "\n")
        sys.stdout.flush()


@contextlib.contextmanager
def _out_is_err() -> Iterator[None]:
    """A block in which both descriptor and stream of standard output are those of errors."""
    streams = [one for one in (sys.stdout, sys.__stdout__) if one is not None]
    for stream in streams:
        stream.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for stream in streams:
            stream.flush()
        os.dup2(kept, 1)
        os.close(kept)


def plain(value: Any) -> Any:
    """A value as JSON has it: what is missing, or no finite number, is null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if hasattr(value, "tolist"):  # an array or number of NumPy's
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return _cell(value)


def _cell(value: Any) -> bool | int | float | str | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return None if text in ("<NA>", "NaT") else text
