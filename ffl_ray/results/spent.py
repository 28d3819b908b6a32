"""The time that a search has taken, over all its starts: a small file, brought up to date often."""

from __future__ import annotations

import json

from ffl_ray.results.storage.storage import Storage

FILE = ".time.json"


def used_s(storage: Storage) -> float:
    """Seconds that a search has taken, as far as is known; none of a file that can't be read."""
    data = storage.read(FILE)
    try:
        found = json.loads(data or b"0")
    except ValueError:
        return 0.0
    return float(found) if isinstance(found, int | float) and 0 <= found < float("inf") else 0.0


def note_used(storage: Storage, seconds: float) -> None:
    """Note the seconds that a search has taken by now.

    Raises:
        OSError: there is no room for it.
    """
    storage.write(FILE, json.dumps(round(seconds, 1)).encode())
