"""A process that has loaded what commands load, and forks one for each that a test gives.

A command in a process of its own costs 4 s of CPU otherwise, before it does anything.
`python fork_server.py FOLDER` listens in FOLDER until that is gone, or who started it.
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
from pathlib import Path
from typing import Any

FOLDER = "FFL_RAY_TEST_FORKS"
# Not the commands' own files, which are run as programs.
LOADED = (
    "ffl_ray.orchestration.search_start",
    "ffl_ray.orchestration.search_run",
    "ffl_ray.orchestration.train_run",
    "ffl_ray.confirm.command",
    "ffl_ray.reproduce.command",
    "ffl_ray.export.command",
    "ffl_ray.report.command",
)


def serve(folder: Path) -> None:
    parent = os.getppid()
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(folder / "new"))
        listening.listen()
        (folder / "new").rename(folder / "socket")
        listening.settimeout(1)
        while folder.exists() and os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                asked, _ = listening.accept()
                if os.fork() == 0:
                    listening.close()
                    _mind(asked)
                    return
                asked.close()


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
        asked.sendall(array.array("q", [os.waitstatus_to_exitcode(status)]))
    os._exit(0)


def _become(told: dict[str, Any], streams: list[int]) -> None:
    """Be a command, as `python -m` starts it, or a program, as `python -c` does."""
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update({n: value for n, value in told["environment"].items() if value is not None})
    sys.argv[1:] = told["options"]
    sys.path[0] = told["cwd"]
    if "program" in told:
        sys.argv[0] = "-c"
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(told["program"], vars(main))
    else:
        runpy.run_module(told["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
