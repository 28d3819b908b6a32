"""A stop from outside: Ctrl-C, SIGTERM (SLURM, a container) and a closed terminal are one kind."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ffl_ray.console.terminal import make_console

STOPPING = "stopping: what is finished is kept (a second time ends at once)"

LOOK_S = 0.5
_NEEDED: list[Callable[[], bool]] = []


class Stop:
    """The stop that a command was asked for.

    Attributes:
        signal: the first signal; 0: none.
    """

    signal = 0

    def status(self, interrupted: int) -> int:
        """The exit status of what was interrupted: 128 and the signal, as shells count."""
        return 128 + self.signal if self.signal else interrupted


@contextmanager
def stoppable() -> Iterator[Stop]:
    """A block in which every such signal is what Ctrl-C is, and is answered with a line at once.

    Who handles Ctrl-C changes meanwhile (Tune, Ray Train), and looks at it between two steps of
    its own: a thread hears of the signal before, from Python's wake-up descriptor.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    fd_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    before = {
        one: signal.signal(one, _as_ctrl_c)
        for one in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(one) is not signal.SIG_IGN  # as nohup leaves SIGHUP
    }
    watcher = threading.Thread(target=_answer, args=(reader, stop), daemon=True)
    watcher.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(fd_before)
        for one, handler in before.items():
            signal.signal(one, handler)
        os.close(writer)
        watcher.join()
        os.close(reader)


@contextmanager
def needing(is_gone: Callable[[], bool]) -> Iterator[None]:
    """A block that can't end in order without what may be gone: SLURM signals every process.

    Once it is, a stop ends this process at once, before a library waits for it and complains.
    """
    _NEEDED.append(is_gone)
    try:
        yield
    finally:
        _NEEDED.remove(is_gone)


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C would do now."""
    if not callable(signal.getsignal(signal.SIGINT)):  # ignored, as a shell has it behind &
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def _answer(reader: int, stop: Stop) -> None:
    """Say at the first signal that it was heard, until the other end is closed."""
    while True:
        if not select.select([reader], [], [], LOOK_S if stop.signal else None)[0]:
            if any(is_gone() for is_gone in _NEEDED):
                os._exit(128 + stop.signal)
            continue
        found = os.read(reader, 1)
        if not found:
            return
        if stop.signal or found[0] not in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            continue
        stop.signal = found[0]
        if stop.signal == signal.SIGHUP:
            _leave_terminal()
        make_console().out(STOPPING)


def _leave_terminal() -> None:
    """Have output go nowhere where it went to the terminal that is gone: writing there fails."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
