"""Processes of this machine: which live, and the end of one."""

from __future__ import annotations

import os
import time


def is_alive(pid: int) -> bool:
    """Whether a process has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def wait_for_end(pid: int, timeout_s: float) -> None:
    """Return when a process has ended, or after some seconds."""
    ends = time.monotonic() + timeout_s
    while is_alive(pid) and time.monotonic() < ends:
        time.sleep(0.1)
