"""The start of a Ray worker, in place of Ray's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ffl_ray.orchestration import ray_worker

PLAIN: dict[str, object] = {
    "command_prefix": [],
    "override_worker_entrypoint": None,
    "java_jars": [],
}
WORKER = "import os, sys; print(*sys.argv[1:], os.environ['TOLD'], 'ray' in sys.modules)"


def options(worker: str, language: str = "PYTHON", **context: object) -> list[str]:
    """What a raylet gives."""
    text = json.dumps(PLAIN | {"py_executable": sys.executable} | context)
    told = [f"--language={language}", f"--serialized-runtime-env-context={text}"]
    return ["-s", worker, "--node-id=ab12", *told, "--worker-id=7"]


@pytest.mark.parametrize("value", ["7", "${WHERE}/b"], ids=["at once", "by Ray's own program"])
def test_a_worker_has_its_options_and_its_variables(value: str, tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    command = [sys.executable, ray_worker.__file__, *options(str(worker), env_vars={"TOLD": value})]

    said = subprocess.check_output(command, text=True, env=os.environ | {"WHERE": "/a"})

    found = value.replace("${WHERE}", "/a")
    assert said.split() == ["--node-id=ab12", "--worker-id=7", found, "False"]


@pytest.mark.parametrize(
    "context",
    [
        {"language": "CPP"},
        {"command_prefix": ["nice"]},
        {"py_executable": "/usr/bin/python3"},
        {"override_worker_entrypoint": "/other.py"},
        {"something_new": 1},
    ],
    ids=str,
)
def test_what_is_to_be_prepared_is_left_to_ray(context: dict[str, str]) -> None:
    given = options("worker.py", **context)

    python, program, *left = ray_worker.command_of(given)

    assert (python, Path(program).name, left) == (sys.executable, "setup_worker.py", given)
    assert Path(program).exists()
