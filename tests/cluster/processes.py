"""Waiting for what happens elsewhere, and ending what was started."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

Running = subprocess.Popen[str]


def wait_for(what: str, done: Callable[[], Any], timeout_s: float, every_s: float = 0.5) -> Any:
    """What `done` returns, as soon as that is true.

    Raises:
        TimeoutError: it was not in time.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := done()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(every_s)
    return found


def end(process: Running) -> None:
    """Kill a process, wait for its end and close its pipes."""
    process.kill()
    process.wait(30)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
