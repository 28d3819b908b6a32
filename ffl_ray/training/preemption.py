"""The mark on a machine that is about to be taken away: `python -m ffl_ray.spot` leaves it, and
every training there looks for it.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

DEFAULT_MARK = "/tmp/ffl_ray-preempted"
VARIABLE = "FFL_RAY_PREEMPTION"
FORGOTTEN_S = 300.0


def mark_path() -> str:
    """Where the mark is."""
    return os.environ.get(VARIABLE, DEFAULT_MARK)


def leave_mark(deadline: float) -> None:
    """Say that this machine is taken away at that time, in seconds since 1970."""
    path = Path(mark_path())
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(repr(deadline), encoding="ascii")
    unfinished.replace(path)


def remove_mark() -> None:
    """Take back what an earlier life of this machine was told."""
    Path(mark_path()).unlink(missing_ok=True)


def is_preempted() -> bool:
    """Whether this machine is about to be taken away. Without a mark it costs a microsecond.

    A mark counts when this user or root left it, since its folder may be everybody's, and until
    five minutes after its deadline: a machine that is still there was not taken.
    """
    path = mark_path()
    try:
        status = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.getuid()):
        return False
    try:
        return time.time() < float(Path(path).read_text(encoding="ascii")) + FORGOTTEN_S
    except (OSError, ValueError):
        return False
