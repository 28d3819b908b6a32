"""CPU seconds of a command and of every process it starts, however they detach from it."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from ffl_ray.bench.processes import MARK, Marked

PERIOD_S = 0.25
OUTPUT_CHARACTERS = 2000
ROLES = (
    ("gcs_server", "gcs"),
    ("raylet/raylet", "raylet"),
    ("agent", "agents"),
    ("monitor", "monitors"),
    ("ray::", "workers"),
    ("default_worker", "workers"),
)
DRIVER = "driver"


class Sample(NamedTuple):
    """CPU seconds so far, by role.

    Attributes:
        time: seconds since 1970.
        cpu_s: of all processes of a role that were ever seen.
    """

    time: float
    cpu_s: dict[str, float]


class Ran(NamedTuple):
    """A command that has ended.

    Attributes:
        started: seconds since 1970.
        ended: the same.
        status: its exit status.
        output: the end of what it wrote.
        samples: in the order of time.
    """

    started: float
    ended: float
    status: int
    output: str
    samples: list[Sample]

    def cpu_between(self, start: float, end: float) -> dict[str, float] | None:
        """CPU seconds of each role from one moment to another; None where nothing was read."""
        if not self.samples:
            return None
        before, after = self._at(start), self._at(end)
        return {role: used - before.get(role, 0.0) for role, used in after.items()}

    def _at(self, moment: float) -> dict[str, float]:
        """What was used by then, as the latest sample before it has it."""
        position = bisect_right([sample.time for sample in self.samples], moment)
        return self.samples[max(0, position - 1)].cpu_s


class CpuWatch:
    """CPU time of all processes that carry a mark; one that ended counts as last seen."""

    def __init__(self, mark: str) -> None:
        self._marked = Marked(mark)
        self._roles: dict[psutil.Process, str] = {}
        self._cpu_s: dict[psutil.Process, float] = {}

    def sample(self) -> Sample:
        """CPU seconds that the marked processes have used so far."""
        living, zombies = self._marked.find()
        self._roles |= {one.process: role_of(one.command) for one in living}
        known_zombies = (one for one in zombies if one in self._roles)
        for process in (*(one.process for one in living), *known_zombies):
            with contextlib.suppress(psutil.Error):
                used = process.cpu_times()
                self._cpu_s[process] = used.user + used.system
        totals: defaultdict[str, float] = defaultdict(float)
        for process, seconds in self._cpu_s.items():
            totals[self._roles[process]] += seconds
        return Sample(time.time(), dict(totals))


def role_of(command: str) -> str:
    """The role of a process of Ray, by its command line; the command itself is the driver."""
    return next((role for part, role in ROLES if part in command), DRIVER)


def run_watched(command: Sequence[str], log: Path) -> Ran:
    """A command run to its end, with what it used four times a second.

    Args:
        log: takes what it writes.
    """
    mark = secrets.token_hex(8)
    watch, samples = CpuWatch(mark), []
    started = time.time()
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=os.environ | {MARK: mark}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while True:
                samples.append(watch.sample())
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = process.wait(PERIOD_S)
                    break
        except BaseException:
            process.terminate()
            process.wait()
            raise
    return Ran(started, time.time(), status, log.read_text()[-OUTPUT_CHARACTERS:], samples)
