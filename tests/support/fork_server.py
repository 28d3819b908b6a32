"""Processes that have loaded what commands, and Ray's workers, load, and fork one for each.

A command in a process of its own costs 4 s of CPU otherwise, before it does anything, a worker 3.
`python fork_server.py serve FOLDER` listens in FOLDER until that is gone, or who started it. The
Ray of a command starts its workers by this file too, with Ray's options, but where the command is
not told the folder.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = "FFL_RAY_TEST_FORKS"
SERVE, COMMANDS, WORKERS = "serve", "commands", "workers"
# Not the commands' own files, which are run as programs; and for a worker nothing that imports Ray,
# which takes its job from the environment as it is imported, but what Ray imports of others.
LOADED = {
    COMMANDS: (
        "ffl_ray.orchestration.search_start",
        "ffl_ray.orchestration.search_run",
        "ffl_ray.orchestration.train_run",
        "ffl_ray.confirm.command",
        "ffl_ray.reproduce.command",
        "ffl_ray.export.command",
        "ffl_ray.report.command",
    ),
    WORKERS: (
        "ffl_ray.training.final",
        "ffl_ray.results.writer",
        "pandas",
        "requests",
        "jsonschema",
        "fsspec",
        "rich.console",
        "google.protobuf.json_format",
    ),
}


def serve(folder: Path) -> None:
    parent = os.getppid()
    if os.fork() == 0:
        _listen(folder, WORKERS, os.getppid())
    else:
        _listen(folder, COMMANDS, parent)


def _listen(folder: Path, name: str, parent: int) -> None:
    """Fork a process for each that asks; what it needs is loaded when the first one does."""
    loaded: Sequence[str] = LOADED[name]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(folder / f"new-{name}"))
        listening.listen()
        (folder / f"new-{name}").rename(folder / name)
        listening.settimeout(1)
        while folder.exists() and os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                asked, _ = listening.accept()
                for module in loaded:
                    importlib.import_module(module)
                loaded = ()
                gc.freeze()
                if os.fork() == 0:
                    listening.close()
                    _mind(asked)
                    return
                asked.close()


def asked_for(folder: Path, name: str, told: dict[str, Any], streams: list[int]) -> socket.socket:
    """A connection to a server that was asked for a process; its id and exit status come."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(folder / name))
    socket.send_fds(connection, [json.dumps(told).encode()], streams)
    return connection


def answer(connection: socket.socket) -> int:
    (number,) = array.array("q", connection.recv(8, socket.MSG_WAITALL))
    return number


def be_a_worker(options: list[str]) -> None:
    """Have a worker of Ray forked, and end as it does; or become what prepares it."""
    from ffl_ray.orchestration.ray_worker import command_of

    python, *command = command_of(options)
    if not command[0].endswith("default_worker.py"):
        os.execv(python, [python, *command])
    told = {"file": command[0], "options": command[1:], "environment": {**os.environ}}
    folder = Path(os.environ[FOLDER])
    with asked_for(folder, WORKERS, told | {"cwd": str(Path.cwd())}, [0, 1, 2]) as connection:
        answer(connection)  # its process id, which it tells the raylet itself
        sys.exit(answer(connection))


def _mind(asked: socket.socket) -> None:
    """Fork the command, tell its process id, and then what it ended with."""
    asked.setblocking(True)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, streams, _, _ = socket.recv_fds(asked, 2**20, 3)
    child = os.fork()
    if child == 0:
        asked.close()
        _become(json.loads(text), streams)
        return
    for stream in streams:
        os.close(stream)
    asked.sendall(array.array("q", [child]))
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        _given(child).unlink()
    with contextlib.suppress(OSError):
        asked.sendall(array.array("q", [os.waitstatus_to_exitcode(status)]))
    os._exit(0)


def _given(process: int) -> Path:
    """Where the variables of a forked process stand, which the system does not know."""
    return Path(sys.argv[2], f"{process}.json")


def _become(told: dict[str, Any], streams: list[int]) -> None:
    """Be a command, as `python -m` starts it, a program, as `python -c` does, or a worker."""
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(told["cwd"])
    environment = {n: value for n, value in told["environment"].items() if value is not None}
    os.environ.clear()
    os.environ.update(environment)
    given = _given(os.getpid())
    given.with_suffix(".new").write_text(json.dumps(environment), encoding="utf-8")
    given.with_suffix(".new").rename(given)
    sys.argv[1:] = told["options"]
    sys.path[0] = told["cwd"]
    if "file" in told:
        sys.argv[0] = told["file"]
        runpy.run_path(told["file"], run_name="__main__")
        return
    if FOLDER in environment:
        importlib.import_module("ffl_ray.orchestration.ray_worker").__file__ = __file__
    if "program" in told:
        sys.argv[0] = "-c"
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(told["program"], vars(main))
    else:
        runpy.run_module(told["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    if sys.argv[1] == SERVE:
        serve(Path(sys.argv[2]))
    else:
        be_a_worker(sys.argv[1:])
