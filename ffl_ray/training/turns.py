"""Turns of the trainings that share a process: a thread each, one of which works at a time.

PyTorch keeps much for a whole process: the generator that initial weights are drawn from, flags of
cuDNN and cuBLAS, what a capture of CUDA is in the middle of (a replay in another thread fails
meanwhile). A thread that works by turns finds all of it as if it were alone. It gives its turn up
between two steps, and while it waits for its device's steps, for checkpoints to be stored, or for
its driver; not while it opens data, waits for images to be decoded, captures or measures. The
device is shared all the same: each training has streams of its own, and some of its steps are
under way.

A training that has its process to itself has no seat there, and nothing here does anything.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch

_HERE = threading.local()


class Turns:
    """Turns of some threads: who has waited longest is next.

    Attributes:
        taken: somebody works.
        spare_streams: of trainings that have ended. PyTorch has 32 of a GPU and hands them out one
            after the other, again and again: without these a long training would come to share its
            own with the eleventh after it, and the memory that its graphs' products work in.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self.taken = False
        self.spare_streams: list[torch.cuda.Stream] = []

    def take(self) -> None:
        """Wait for a turn."""
        with self._guard:
            if not self.taken:
                self.taken = True
                return
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        called.acquire()

    def give(self) -> None:
        """End this thread's turn."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self.taken = False

    @contextmanager
    def taken_here(self) -> Iterator[None]:
        """A block that is a turn of this thread's."""
        self.take()
        try:
            yield
        finally:
            self.give()


class Seat:
    """A training's place among those of its process.

    Attributes:
        stopped: it is to end, as its next turn begins.
    """

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.stopped = False
        self.keeps: list[Callable[[], None]] = []
        self._streams: list[torch.cuda.Stream] = []

    def new_stream(self, device: torch.device) -> torch.cuda.Stream:
        """A stream that no other training has until this one leaves."""
        spare = self.turns.spare_streams
        self._streams.append(spare.pop() if spare else torch.cuda.Stream(device))  # type: ignore[no-untyped-call]
        return self._streams[-1]

    def leave(self) -> None:
        """End this thread's last turn."""
        self.turns.spare_streams += reversed(self._streams)  # each for the same use
        self._streams = []
        self.turns.give()

    def resume(self) -> None:
        """Set what the process has one of as this training needs it.

        Raises:
            SystemExit: it is to end.
        """
        self.end_if_stopped()
        for keep in self.keeps:
            keep()

    def end_if_stopped(self) -> None:
        """Nothing, or the training's end.

        Raises:
            SystemExit: it is to end.
        """
        if self.stopped:
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
                # Its memory is let go of next, and steps may be under way there.
                torch.cuda.current_stream().synchronize()
            raise SystemExit


def seat_here() -> Seat | None:
    """The seat of this thread; none where a training has its process to itself."""
    seat: Seat | None = getattr(_HERE, "seat", None)
    return seat


@contextmanager
def seated(seat: Seat, device: torch.device) -> Iterator[None]:
    """A block in which this thread trains by turns, on a stream of its own of a GPU."""
    seat.turns.take()
    _HERE.seat = seat
    try:
        with ExitStack() as stack:
            if device.type == "cuda":
                stack.enter_context(torch.cuda.stream(seat.new_stream(device)))
            yield
    finally:
        _HERE.seat = None
        seat.leave()


def new_stream(device: torch.device) -> torch.cuda.Stream:
    """A stream of a GPU, for the training of this thread alone."""
    seat = seat_here()
    if seat is None:
        return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return seat.new_stream(device)


@contextmanager
def waiting() -> Iterator[None]:
    """A block in which this thread only waits: others have their turns meanwhile.

    Raises:
        SystemExit: the training is to end.
    """
    seat = seat_here()
    if seat is None:
        yield
        return
    seat.end_if_stopped()
    seat.turns.give()
    try:
        yield
    finally:
        seat.turns.take()
    seat.resume()


def next_turn() -> None:
    """Let every other training of this process take a step.

    Raises:
        SystemExit: the training is to end.
    """
    with waiting():
        pass


def wait_for(device: torch.device) -> None:
    """Return when a GPU has done what this thread has asked it for."""
    if device.type == "cuda":
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        torch.cuda.current_stream(device).record_event(done)
        with waiting():
            done.synchronize()


def kept_for_this_training(keep: Callable[[], None]) -> None:
    """Call what sets something of the whole process, now and as each turn begins."""
    keep()
    seat = seat_here()
    if seat is not None:
        seat.keeps.append(keep)
