"""What a case of the fuzzer ends in, and how it is found."""

from __future__ import annotations

import random
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from ffl_ray.errors import FFLRayError

LIMIT_S = 10.0  # of CPU, since a case waits for its turn on a busy machine
WAITING = 30  # times as long by the clock, for what waits and computes nothing
COMMAND_S = 60.0  # by the clock: it loads torch, and may build the networks of a thousand points
LONGEST = 100_000


class Hang(BaseException):
    """The end of a case that took longer than it may."""


class WrongError(Exception):
    """A wrong result of a case."""


class Outcome(NamedTuple):
    """The end of a case.

    Attributes:
        kind: of the case.
        number: of the case; with the seed it makes the case again.
        what: right, refused, or a finding.
        detail: of a refusal its message, of a finding what happened.
    """

    kind: str
    number: int
    what: str
    detail: str

    @property
    def is_finding(self) -> bool:
        """Whether the project is to be mended."""
        return self.what not in ("right", "refused")


Case = Callable[[random.Random, Path], None]


def run_case(kind: str, case: Case, seed: int, number: int, folder: Path) -> Outcome:
    """Run one case to its outcome; nothing that it raises gets out."""
    rng = random.Random(f"{seed} {kind} {number}")
    started = time.monotonic()
    try:
        clock_s = COMMAND_S if kind == "commands" else WAITING * LIMIT_S
        with at_most(LIMIT_S, clock_s), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            case(rng, folder)
    except FFLRayError as error:
        return Outcome(kind, number, *_refusal(str(error)))
    except Hang:
        took = time.monotonic() - started
        return Outcome(kind, number, "hang", f"{took:.1f} s\n{traceback.format_exc()}")
    except BaseException as error:
        return Outcome(kind, number, type(error).__name__, traceback.format_exc())
    return Outcome(kind, number, "right", "")


def _refusal(message: str) -> tuple[str, str]:
    """Whether a refusal says what is wrong and stays readable, and the message."""
    if len(message) < 10:
        return "says nothing", message
    if len(message) > LONGEST:
        return "endless message", message[:1000]
    return "refused", message[:300]


@contextmanager
def at_most(cpu_s: float, clock_s: float) -> Iterator[None]:
    """Raise Hang in what takes longer, of CPU or by the clock."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    limits = (
        (signal.ITIMER_PROF, signal.SIGPROF, cpu_s),
        (signal.ITIMER_REAL, signal.SIGALRM, clock_s),
    )
    before = [(alarm, signal.signal(alarm, ring)) for _, alarm, _ in limits]
    for timer, _, seconds in limits:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _, _ in limits:
            signal.setitimer(timer, 0)
        for alarm, handler in before:
            signal.signal(alarm, handler)
