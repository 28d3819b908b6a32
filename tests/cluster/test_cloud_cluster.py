"""The logic of `cluster.yaml` on machines that a small cloud really starts and ends.

Derived by program (`derived_cloud`): its node types, limits, start commands, token and mounts are
the file's own; the provider is `cloud.py`'s. One story on one cluster, in this order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from cluster.cloud import Cloud
from cluster.derived import derived_cloud
from cluster.here import environment_folders, missing
from cluster.lab import LAPTOP, STUDIES, Lab, Transcript, stored
from cluster.machines import Network, wait_for

WHY_NOT = missing()
POOL = ("machine0", "machine1", "machine2")
WORKERS = len(POOL) - 1
SPOT = "gpu_spot"
SEARCH = (
    "cd ~/ffl_ray && python -m ffl_ray.tune tests/cluster/two_hosts.py --name elastic "
    "--address auto --gpus-per-trial 0 --cpus-per-trial 4 --max-concurrent-trials 1 "
    f'--storage-path "{STUDIES}"'
)
pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        not os.environ.get("FFL_RAY_TEST_SLOW"),
        reason="four minutes: `make test-cluster`, or FFL_RAY_TEST_SLOW=1",
    ),
]


class Scene(NamedTuple):
    """A laptop, and a cloud to launch on."""

    lab: Lab
    cloud: Cloud


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    transcript = Transcript()
    with (
        Network([LAPTOP, *POOL], environment_folders()) as network,
        Cloud(network, POOL, transcript.say) as cloud,
    ):
        with transcript.step("a laptop, a cloud and an S3 store"):
            lab = Lab(
                network, transcript, "cluster.yaml", lambda c: derived_cloud(c, len(POOL) - 1)
            )
        yield Scene(lab, cloud)
    transcript.say("the cloud is gone")


def test_ray_up_starts_the_head_alone(scene: Scene) -> None:
    scene.lab.run("ray get-auth-token --generate > /dev/null && chmod 600 ~/.ray/auth_token")
    with scene.lab.transcript.step("ray up"):
        scene.lab.transcript.show(scene.lab.run("ray up cluster.yaml --yes"), 3)

    assert scene.cloud.kinds() == ["head"]


def test_tasks_that_want_gpus_bring_spot_machines_and_a_reclaimed_one_is_replaced(
    scene: Scene,
) -> None:
    lab, cloud = scene
    work = lab.start("ray exec cluster.yaml 'python ~/ffl_ray/tests/cluster/gpu_work.py 6 8'")
    with lab.transcript.step("two spot machines for six tasks"):
        wait_for("them", lambda: cloud.kinds() == [SPOT, SPOT, "head"], 90)
    numbers = [number for number, one in cloud.running().items() if _is_spot(one.tags)]
    cloud.terminate(numbers[0], "spot reclaimed")
    with lab.transcript.step("another one in its place"):
        wait_for("it", lambda: _replaced(cloud, numbers), 90)
    with lab.transcript.step("the tasks have ended"):
        said, _ = work.communicate(timeout=180)
    lab.transcript.show(said, 1)

    assert work.returncode == 0, said
    assert "6 tasks" in said


def _is_spot(tags: dict[str, str]) -> bool:
    return tags.get("ray-user-node-type") == SPOT


def _replaced(cloud: Cloud, before: list[str]) -> bool:
    return any(
        number not in before for number, one in cloud.running().items() if _is_spot(one.tags)
    )


def test_a_search_waits_for_its_machine_and_outlives_a_reclaimed_one(scene: Scene) -> None:
    lab, cloud = scene
    with lab.transcript.step("idle machines are ended"):
        wait_for("the head alone", lambda: cloud.kinds() == ["head"], 180)
    search = lab.start(f"ray exec cluster.yaml '{SEARCH}'")
    with lab.transcript.step("the search brings a machine"):
        wait_for("it", lambda: SPOT in cloud.kinds(), 120)
    with lab.transcript.step("epochs in the tables"):
        wait_for("some", lambda: _epochs(lab) >= 2, 180, 2)
    [number] = [number for number, one in cloud.running().items() if _is_spot(one.tags)]
    cloud.terminate(number, "spot reclaimed")
    with lab.transcript.step("the search has ended"):
        said, _ = search.communicate(timeout=300)
    lab.transcript.show(said)

    assert search.returncode == 0, said
    (trial,) = stored(lab, "elastic").values()
    lab.transcript.say(f"the trial: {trial}")
    assert trial["status"] == "completed"
    assert trial["epochs"] == [*range(1, len(trial["epochs"]) + 1)]
    assert set(trial["attempts"]) == {1, 2}


def _epochs(lab: Lab) -> int:
    return sum(len(trial["epochs"]) for trial in stored(lab, "elastic").values())


def test_ray_down_ends_every_machine(scene: Scene) -> None:
    lab, cloud = scene
    with lab.transcript.step("ray down"):
        lab.transcript.show(lab.run("ray down cluster.yaml --yes"), 3)

    assert cloud.running() == {}
