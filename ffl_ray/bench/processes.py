"""Processes that carry a mark in their environment, whoever their parent is by now.

Ray's daemons leave their parent, and wait for nobody, so that neither the tree of processes nor
getrusage knows them; the environment that they began with goes with them.
"""

from __future__ import annotations

from typing import NamedTuple

import psutil

MARK = "FFL_RAY_BENCH_RUN"


class MarkedProcess(NamedTuple):
    """A living process that carries the mark.

    Attributes:
        process: psutil's handle of it.
        command: its command line, which Ray's workers replace by what they do.
        ending: of the mark's value, behind what was looked for.
    """

    process: psutil.Process
    command: str
    ending: str = ""


class Marked:
    """The processes whose mark begins with a value, found again and again.

    Args:
        value: of the environment's variable `MARK`.
    """

    def __init__(self, value: str) -> None:
        self._value = value
        self._endings: dict[psutil.Process, str] = {}
        self._strangers: dict[psutil.Process, str] = {}

    def find(self) -> tuple[list[MarkedProcess], list[psutil.Process]]:
        """The living ones, and those that ended and nobody waits for."""
        there = list(psutil.process_iter())
        self._endings = {one: self._endings[one] for one in there if one in self._endings}
        self._strangers = {one: self._strangers[one] for one in there if one in self._strangers}
        living, zombies = [], []
        for process in there:
            try:
                command = command_of(process)
                ending = self._ending(process, command)
            except psutil.ZombieProcess:
                # It has no environment: it is known from before, or from its parent.
                if process in self._endings or process.ppid() in {p.pid for p in self._endings}:
                    zombies.append(process)
            except psutil.Error:
                continue
            else:
                if ending is not None:
                    living.append(MarkedProcess(process, command, ending))
        return living, zombies

    def _ending(self, process: psutil.Process, command: str) -> str | None:
        """What follows the value in its mark; None where it is another's, or has none."""
        if process in self._endings:
            return self._endings[process]
        # Between fork and exec a process still has its parent's environment and command.
        if self._strangers.get(process) == command:
            return None
        mark: str | None = process.environ().get(MARK)
        if mark is None or not mark.startswith(self._value):
            self._strangers[process] = command
            return None
        return self._endings.setdefault(process, mark.removeprefix(self._value))


def command_of(process: psutil.Process) -> str:
    """The words of a process' command line."""
    return " ".join(process.cmdline()).strip()
