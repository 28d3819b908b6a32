"""Commands in processes of their own that are forked where all they load is loaded already."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from support import fork_server
from support.fork_server import COMMANDS, FOLDER, LOADED, SERVE, answer, asked_for
from support.helpers import ROOT, with_root

Changes = Mapping[str, str | None]


class Forked:
    """A command that runs, with what the tests use of `subprocess.Popen`."""

    def __init__(
        self, what: dict[str, str], options: Sequence[str], piped: bool, cwd: Path, changes: Changes
    ) -> None:
        self.returncode: int | None = None
        self._said = ["", ""]
        environment = os.environ | {"PYTHONPATH": with_root()} | dict(changes)
        told = what | {"options": options, "cwd": str(cwd), "environment": environment}
        nothing = os.open(os.devnull, os.O_RDWR)
        pipes = [os.pipe(), os.pipe()] if piped else []
        streams = [nothing, *(writes for _, writes in pipes)] if piped else [nothing] * 3
        self._answers = asked_for(_folder(), COMMANDS, told, streams)
        for stream in {nothing, *streams}:
            os.close(stream)
        self._readers = [
            threading.Thread(target=self._read, args=(place, os.fdopen(reads)), daemon=True)
            for place, (reads, _) in enumerate(pipes)
        ]
        for reader in self._readers:
            reader.start()
        self.pid = answer(self._answers)

    def _read(self, place: int, stream: IO[str]) -> None:
        with stream:
            self._said[place] = stream.read()

    def poll(self) -> int | None:
        return self._waited(0)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it said, once all have ended that could say more.

        Raises:
            TimeoutExpired: they have not.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for reader in self._readers:
            reader.join(None if deadline is None else max(0, deadline - time.monotonic()))
        left = None if deadline is None else max(0.01, deadline - time.monotonic())
        if any(reader.is_alive() for reader in self._readers) or self._waited(left) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return self._said[0], self._said[1]

    def _waited(self, timeout: float | None) -> int | None:
        """What it ended with, if it does so in time."""
        if self.returncode is None:
            self._answers.settimeout(timeout)
            try:
                self.returncode = answer(self._answers)
                self._answers.close()
            except (TimeoutError, BlockingIOError):
                pass
        return self.returncode


def start(
    name: str,
    *options: str,
    out: int = subprocess.DEVNULL,
    cwd: Path = ROOT,
    **environment: str | None,
) -> Forked:
    """Start a command that can be interrupted, even where this process ignores Ctrl-C."""
    what = {"module": f"ffl_ray.{name}"}
    return Forked(what, options, out == subprocess.PIPE, cwd, environment)


def run(
    name: str, *options: str, timeout_s: float = 240, cwd: Path = ROOT, **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a pipe."""
    command = start(name, *options, out=subprocess.PIPE, cwd=cwd, **environment)
    return _ended(command, [name, *options], timeout_s)


def start_program(
    text: str, *options: str, out: int = subprocess.DEVNULL, **environment: str | None
) -> Forked:
    """Start a program as `python -c` does; a variable that is None is unset."""
    return Forked({"program": text}, options, out == subprocess.PIPE, ROOT, environment)


def run_program(
    text: str, *options: str, timeout_s: float = 240, **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in a pipe."""
    program = start_program(text, *options, out=subprocess.PIPE, **environment)
    return _ended(program, [text, *options], timeout_s)


def environment_of(process: psutil.Process) -> dict[str, str]:
    """Its variables; of a forked one those that it was given, which the system does not know."""
    try:
        text = Path(os.environ[FOLDER], f"{process.pid}.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return dict(process.environ())
    found: dict[str, str] = json.loads(text)
    return found


def actors_of(mark: str) -> list[tuple[int, str]]:
    """Process id and title of the living Ray actors whose environment holds a mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            title = " ".join(process.cmdline())
            if title.startswith("ray::") and mark in environment_of(process).values():
                found.append((process.pid, title))
    return found


def _ended(command: Forked, words: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    try:
        said = command.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        command.send_signal(signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(words, command.returncode or 0, *said)


def _folder() -> Path:
    """Where the servers of this run of the tests listen, which the first one starts."""
    folder = Path(os.environ[FOLDER])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / COMMANDS).exists():
            words = [sys.executable, fork_server.__file__, SERVE, str(folder)]
            os.posix_spawn(words[0], words, os.environ | {"PYTHONPATH": with_root()})
        while not all((folder / name).exists() for name in LOADED):
            time.sleep(0.05)
    return folder
