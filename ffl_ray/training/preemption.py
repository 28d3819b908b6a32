"""The mark on a machine that is about to be taken away: `python -m ffl_ray.spot` leaves it, and
every training there looks for it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from ffl_ray.files import read_own, replaced, user_folder, user_path

VARIABLE = "FFL_RAY_PREEMPTION"
FORGOTTEN_S = 300.0


def mark_path() -> str:
    """Where the mark is: in this user's own folder, or where the environment says."""
    return os.environ.get(VARIABLE) or f"{user_path()}/preempted"


def leave_mark(deadline: float) -> None:
    """Say that this machine is taken away at that time, in seconds since 1970."""
    with replaced(_place(), 0o644) as file:
        file.write(repr(deadline).encode())


def remove_mark() -> None:
    """Take back what an earlier life of this machine was told."""
    _place().unlink(missing_ok=True)


def is_preempted() -> bool:
    """Whether this machine is about to be taken away. Without a mark it costs a microsecond.

    A mark counts when this user or root left it, since it may lie where the environment says, and
    until five minutes after its deadline: a machine that is still there was not taken.
    """
    path = mark_path()
    if not os.path.lexists(path):
        return False
    found = read_own(path, others=(0,))
    try:
        return found is not None and time.time() < float(found) + FORGOTTEN_S
    except ValueError:
        return False


def lock_path() -> Path:
    """Where the listener's lock is: beside the mark."""
    place = _place()
    return place.with_name(f"{place.name}.lock")


def _place() -> Path:
    """Where the mark is, in a folder that is there and this user's alone unless others chose it.

    Raises:
        OSError: the folder is another user's.
    """
    return Path(os.environ.get(VARIABLE) or user_folder() / Path(mark_path()).name)
