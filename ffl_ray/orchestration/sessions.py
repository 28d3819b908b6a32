"""Session folders, which Ray leaves on this machine: one for each start, 0.3 to 7 MB, for ever.

Ours carry a file that is locked as long as their driver lives, so that a later start knows which
to delete, however the driver died. Those of others are left alone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ffl_ray.files import locked

MARK = "ffl_ray.lock"
KEPT = 3  # of dead drivers, for who wants to read Ray's logs


def take_session(folder: Path) -> None:
    """Mark a session as ours while this process lives, and delete those of our dead drivers.

    The latest few of these stay. What can't be marked or deleted is passed over.
    """
    try:
        locked(folder / MARK)
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
        os.close(locked(mark))
    except OSError:
        return False
    return True
