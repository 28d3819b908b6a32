"""CPU seconds of a command and of every process it starts, however they detach from it."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
MARK = "FFL_RAY_BENCH_RUN"
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
        samples: in the order of time; none where there is no /proc.
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
        """What was used by then, as the latest look before it saw it."""
        position = bisect_right([sample.time for sample in self.samples], moment)
        return self.samples[max(0, position - 1)].cpu_s


def run_watched(command: Sequence[str], log: Path) -> Ran:
    """Run a command to its end, and look at what it uses four times a second.

    Args:
        log: takes what it writes.
    """
    mark = secrets.token_hex(8)
    watch = Watch(mark)
    samples = []
    started = time.time()
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=os.environ | {MARK: mark}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while True:
                if PROC.is_dir():
                    samples.append(watch.look())
                try:
                    status = process.wait(PERIOD_S)
                    break
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.terminate()
            process.wait()
            raise
    return Ran(started, time.time(), status, log.read_text()[-OUTPUT_CHARACTERS:], samples)


class Watch:
    """Reads the CPU time of all processes that carry a mark in their environment.

    Ray's daemons leave their parent, and wait for nobody, so that neither the tree of processes
    nor getrusage knows them; the environment that they began with goes with them.
    """

    def __init__(self, mark: str) -> None:
        self._mark = f"{MARK}={mark}".encode()
        self._strangers: dict[str, bytes] = {}
        self._roles: dict[str, str] = {}
        self._cpu_s: dict[str, float] = {}

    def look(self) -> Sample:
        """What the marked processes have used so far; one that ended counts as last seen."""
        for folder in PROC.iterdir():
            pid = folder.name
            if pid.isdigit() and self._is_marked(folder):
                self._note(folder)
        totals: dict[str, float] = {}
        for pid, used in self._cpu_s.items():
            role = self._roles[pid]
            totals[role] = totals.get(role, 0.0) + used
        return Sample(time.time(), totals)

    def _is_marked(self, folder: Path) -> bool:
        if folder.name in self._roles:
            return True
        try:
            # Between fork and exec a process still has its parent's environment and command.
            command = (folder / "cmdline").read_bytes()
            if self._strangers.get(folder.name) == command:
                return False
            marked = self._mark in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            return False
        if not marked:
            self._strangers[folder.name] = command
        return marked

    def _note(self, folder: Path) -> None:
        try:
            cmdline = (folder / "cmdline").read_bytes()
            self._cpu_s[folder.name] = cpu_seconds((folder / "stat").read_text())
        except OSError:
            return
        # One that has ended and is not yet waited for has lost its command line.
        if cmdline.strip(b"\0") or folder.name not in self._roles:
            self._roles[folder.name] = role_of(cmdline)


def role_of(cmdline: bytes) -> str:
    """What a process of Ray is, by its command line; the command itself is the driver."""
    text = cmdline.replace(b"\0", b" ").decode(errors="replace")
    return next((role for part, role in ROLES if part in text), DRIVER)


def cpu_seconds(stat: str) -> float:
    """User and system seconds of a process, from its /proc/PID/stat."""
    # The command's name, in parentheses, may hold anything; utime and stime are fields 14 and 15.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
