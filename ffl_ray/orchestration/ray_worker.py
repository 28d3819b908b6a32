"""The start of a Ray worker whose environment needs no preparation.

A raylet starts workers by a program of Ray's that imports Ray to read what is to be prepared, and
then becomes the worker, which imports Ray again: half a second of CPU for every process. This one
becomes the worker at once, or else Ray's program:
https://github.com/ray-project/ray/blob/ray-2.60.0/python/ray/_private/workers/setup_worker.py
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path


def command_of(options: list[str]) -> list[str]:
    """What to become; variables that the worker is to have are set.

    Args:
        options: `--language`, `--serialized-runtime-env-context`, and the worker's program with its
            own.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--serialized-runtime-env-context", dest="context", default="{}")
    parser.add_argument("--language")
    told, worker = parser.parse_known_args(options)
    context = json.loads(told.context or "{}")
    variables, program = context.pop("env_vars", {}), context.pop("py_executable", sys.executable)
    plain = program == sys.executable and not any("$" in value for value in variables.values())
    if told.language != "PYTHON" or any(context.values()) or not plain:
        return [sys.executable, str(_rays_own()), *options]
    os.environ.update(variables)
    return [sys.executable, *worker]


def _rays_own() -> Path:
    found = find_spec("ray")  # which does not import it
    assert found is not None, "this is a program of Ray's"
    [folder] = found.submodule_search_locations or []
    return Path(folder, "_private", "workers", "setup_worker.py")


if __name__ == "__main__":
    command = command_of(sys.argv[1:])
    os.execv(command[0], command)
