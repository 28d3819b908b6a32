"""The stand-in for the agent of Ray's dashboard."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from ffl_ray.orchestration import ray_agent


def lives(process: psutil.Process) -> bool:
    """Whether it runs. An orphan that ended stays there where the first process collects none."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


RAYLET = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); input()"


def test_it_says_that_it_listens_nowhere_and_goes_with_its_raylet(tmp_path: Path) -> None:
    told = [f"--session-dir={tmp_path}", "--node-id=ab12", "--head", "--log-dir=/nowhere"]
    agent = [sys.executable, "-IS", ray_agent.__file__, "agent.py", *told]
    with subprocess.Popen(
        [sys.executable, "-IS", "-c", RAYLET, *agent],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as raylet:
        assert raylet.stdout is not None
        process = psutil.Process(int(raylet.stdout.readline()))
        while len(list(tmp_path.iterdir())) < 3 or list(tmp_path.glob(".*")):
            assert lives(process)
            time.sleep(0.01)
        living = lives(process)
        raylet.kill()

    assert living
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        f"{port}_ab12": "-1" for port in ray_agent.PORTS
    }
    until = time.monotonic() + 60
    while lives(process):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_it_does_not_outlive_a_raylet_that_has_gone_before(tmp_path: Path) -> None:
    told = [f"--session-dir={tmp_path}", "--node-id=ab12"]
    gone = os.environ | {"RAY_RAYLET_PID": "1"}

    agent = [sys.executable, "-IS", ray_agent.__file__, "agent.py", *told]

    subprocess.run(agent, env=gone, timeout=30, check=True)
