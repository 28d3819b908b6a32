"""Runs of a tool that knows one at a time in a process: each trial has a process of its own."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ffl_ray.trackers.tracker import END_S, TrackedTrial

Process = subprocess.Popen[str]
PROGRAM = Path(__file__).with_name("run_process.py")


class RunProcesses:
    """A tracker that hands each trial to a process, which has keys from the environment.

    Args:
        tool: as `run_process.WRITERS` names it.
        folder: in which the processes work.
        options: of a trial's run, as the tool's `init` takes them.
        environment: of the processes, beside this one's.
    """

    def __init__(
        self,
        tool: str,
        folder: Path,
        options: Callable[[TrackedTrial], dict[str, Any]],
        environment: Mapping[str, str],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._tool, self._folder = tool, folder
        self._options = options
        self._environment = os.environ | environment
        self._running: dict[str, Process] = {}
        self._ending: list[Process] = []
        atexit.register(self._kill)

    def start(self, trial: TrackedTrial) -> None:
        self._running[trial.name] = self._new_process()
        tell(self._running[trial.name], self._options(trial))

    def epoch(self, trial: TrackedTrial, epoch: int, numbers: dict[str, float]) -> None:
        told = numbers | {"training_iteration": epoch}
        tell(self._running[trial.name], {"epoch": epoch, "numbers": told})

    def end(self, trial: TrackedTrial, status: str) -> None:
        process = self._running.pop(trial.name)
        self._ending.append(process)
        tell(process, {"status": status})
        ended = [one for one in self._ending if one.poll() is not None]
        self._ending = [one for one in self._ending if one not in ended]
        for one in ended:
            check_end(one)

    def close(self) -> None:
        """Wait for what is still being uploaded.

        Raises:
            RuntimeError: a process failed, or was not ready in time.
        """
        until = time.monotonic() + END_S
        for process in (*self._running.values(), *self._ending):
            close_input(process)
        for process in self._ending:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"not all was uploaded within {END_S:.0f} s") from None
            check_end(process)

    def _new_process(self) -> Process:
        """The program that writes a run; no signal of the driver's terminal reaches it."""
        return subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM), self._tool],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def _kill(self) -> None:
        for process in (*self._running.values(), *self._ending):
            process.kill()


def tell(process: Process, words: dict[str, Any]) -> None:
    """Hand a line to a process.

    Raises:
        RuntimeError: it has ended.
    """
    assert process.stdin is not None, "it was opened as a pipe"
    try:
        process.stdin.write(json.dumps(words) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        process.wait()
        check_end(process)
        raise


def close_input(process: Process) -> None:
    """Tell a process that nothing more comes."""
    assert process.stdin is not None, "it was opened as a pipe"
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def check_end(process: Process) -> None:
    """Check how a process has ended.

    Raises:
        RuntimeError: not well; with what it said.
    """
    assert process.stdout is not None, "it was opened as a pipe"
    close_input(process)
    with process.stdout:
        said = process.stdout.read().strip()
    if process.returncode:
        raise RuntimeError(said or "the process that writes a run was ended from outside")
