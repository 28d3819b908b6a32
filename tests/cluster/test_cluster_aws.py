"""`ray up` and `ray down` with `cluster.yaml` on a simulated AWS: what was started, with what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

pytestmark = pytest.mark.skipif(
    "FFL_RAY_TEST_SLOW" not in os.environ, reason="two minutes: FFL_RAY_TEST_SLOW=1 runs it"
)

ROOT = Path(__file__).parents[2]
FILE = ROOT / "cluster.yaml"
SIMULATED = ROOT / "tests/support/simulated_aws.py"


def life(*options: str) -> dict[str, Any]:
    """What `simulated_aws.py` saw of a cluster's life."""
    done = subprocess.run(
        [sys.executable, str(SIMULATED), str(FILE), *options],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    found = life()
    assert found["up"]["status"] == 0, found["up"]["output"]
    return found


def test_ray_up_starts_the_head_alone(seen: dict[str, Any]) -> None:
    (head,) = seen["after_up"]

    assert (head["node"], head["kind"], head["cluster"]) == ("head", "head", "ffl-ray")
    assert (head["type"], head["market"], head["state"]) == ("m5.xlarge", "on-demand", "running")


def test_workers_are_one_machine_on_two_markets(seen: dict[str, Any]) -> None:
    workers = {machine["node"]: machine for machine in seen["with_workers"][1:]}

    assert {name: worker["market"] for name, worker in workers.items()} == {
        "gpu_spot": "spot",
        "gpu_ondemand": "on-demand",
    }
    for worker in workers.values():
        assert worker["type"] == "g5.xlarge"
        # Ray's own role may do what it likes with machines: no worker has it.
        assert worker["profile"] == "ffl-ray-worker"


def test_every_machine_has_the_image_the_disk_and_the_group_of_the_file(
    seen: dict[str, Any],
) -> None:
    assert len(seen["with_workers"]) == 3
    assert len({machine["image"] for machine in seen["with_workers"]}) == 1
    for machine in seen["with_workers"]:
        assert machine["disks"] == [[200, "gp3"]]
        assert machine["groups"] == [seen["group"]]
        assert machine["tokens"] == "required"


def test_nothing_is_open_to_the_world(seen: dict[str, Any]) -> None:
    assert seen["open"] == []


def test_the_heads_container_asks_for_the_token_and_runs_the_files_commands(
    seen: dict[str, Any],
) -> None:
    text = "\n".join(seen["commands"])
    (container,) = (command for command in seen["commands"] if "docker run" in command)
    (start,) = (command for command in seen["commands"] if "ray start" in command)
    config = yaml.safe_load(FILE.read_text(encoding="utf-8"))

    assert f"rayproject/ray:{ray.__version__}-py312-cpu" in container
    assert "RAY_AUTH_MODE=token" in container
    assert ".ray/auth_token" in text
    for command in [*config["setup_commands"], *config["head_setup_commands"]]:
        assert command.replace("~", "/home/ray") in text
    for part in ("--num-cpus=0", "--dashboard-host=127.0.0.1", '"grpc_client_keepalive_time_ms"'):
        assert part in start
    (copied,) = (c for c in seen["commands"] if c.endswith("/ffl_ray/") and "rsync" in c)
    for pattern in config["rsync_exclude"]:
        assert f"--exclude {pattern}" in copied


def test_ray_down_ends_every_machine(seen: dict[str, Any]) -> None:
    assert seen["down"]["status"] == 0, seen["down"]["output"]
    assert [machine["state"] for machine in seen["after_down"]] == ["terminated"] * 3


def test_a_file_that_nobody_filled_in_starts_nothing() -> None:
    untouched = life("--as-it-is")

    assert untouched["up"]["status"] != 0
    assert "Failed to detect a security group" in untouched["up"]["output"]
    assert untouched["after_down"] == []
