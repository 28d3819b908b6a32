"""Session folders, which Ray leaves on this machine: one for each start, 0.3 to 7 MB, for ever.

Ours carry a file that is locked as long as their driver lives, so that a later start knows which
to delete, however the driver died. Those of others are left alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

MARK = "ffl_ray.lock"
KEPT = 3  # of dead drivers, for who wants to read Ray's logs


def take_session(folder: Path) -> None:
    """Mark a session as ours while this process lives, and delete those of our dead drivers.

    The latest few of these stay. What can't be marked or deleted is passed over.
    """
    try:
        held = os.open(folder / MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    dead = sorted(
        mark.parent for mark in folder.parent.glob(f"session_2*/{MARK}") if _is_free(mark)
    )
    for session in dead[:-KEPT]:
        shutil.rmtree(session, ignore_errors=True)


def _is_free(mark: Path) -> bool:
    """Whether nobody holds the lock on a file."""
    try:
        descriptor = os.open(mark, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
