"""Functions called on the machines that Ray has: they return, refuse, end in time, and meet.

And trials that share a process there: one Ray does for both.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.forked import run_program
from support.helpers import ROOT, MemorySession
from support.hosted_trials import FAILING, KILLED, LAST, STOPPED, TRIALS, config_of

from ffl_ray.planning.layout import available_cpus
from ffl_ray.training.worker import run_worker

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(available_cpus() < 2, reason="two calls at once take two CPUs"),
]
PROGRAM = """
import contextlib, io, json, os, sys, time
import ray, torch
from ffl_ray.cli import main
from ffl_ray.errors import DataError
from ffl_ray.orchestration import remote
from ffl_ray.orchestration.ray_setup import prepare_environment, start_ray

prepare_environment(local=True)
start_ray(None)
from ffl_ray.orchestration.remote import RayCluster, call, call_together
from ffl_ray.planning.layout import PASSIVE_WAITING

def fills(*_):
    raise torch.OutOfMemoryError("CUDA out of memory")

def place(wait):
    wait()
    context = ray.get_runtime_context()
    gpus = context.get_accelerator_ids()["GPU"]
    return context.get_placement_group_id(), gpus, os.getpid()

def asks(with_gpu):
    return os.getpid(), None, None

def fails(name):
    raise DataError(f"{name} is not there")

def divided(a, b):
    return divmod(a, b)

def sleeps(s):
    time.sleep(s)

def meet(wait, late_s):
    came = time.time()
    time.sleep(late_s * (came % 1))
    ready = time.time()
    wait()
    return ready, time.time()

def askers():
    remote.memory_facts = asks  # where it is asked, a CUDA context may be made
    return [RayCluster().nodes()[0].memory_bytes for _ in range(2)]

def second():
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        return main(["tune", "--dry-run", "--storage-path", "/nowhere"]), said.getvalue()

try:
    call(fails, "x")
except DataError as error:
    refused = str(error)
print(json.dumps({
    "second": second(),
    "waiting": [call(os.getenv, name) for name in PASSIVE_WAITING],
    "called": RayCluster().call(divided, 7, 2, cpus=1, gpus=0),
    "refused": refused,
    "late": call(sleeps, 60, timeout_s=0.5),
    "met": call_together(meet, 1.0, count=2, gpus=0),
    "nodes": RayCluster().nodes(),
    "full": [call(fills), call_together(fills, count=2, gpus=0.5)],
    "places": call_together(place, count=2, gpus=0.5),
    "askers": askers(),
}))
sys.path.append(sys.argv[2])
from support.hosted_trials import train_in_one_process
train_in_one_process(sys.argv[1])
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hosted") / "study"


@pytest.fixture(scope="module")
def told(study: Path) -> dict[str, Any]:
    two_gpus, tests = '{"GPU": 2}', str(ROOT / "tests")
    options = str(study), tests
    done = run_program(PROGRAM, *options, OMP_WAIT_POLICY=None, RAY_OVERRIDE_RESOURCES=two_gpus)

    assert done.returncode == 0, done.stderr
    # Ray may have said that a worker died.
    [line] = [line for line in done.stdout.splitlines() if line.startswith('{"second"')]
    found: dict[str, Any] = json.loads(line)
    return found


def test_calls_return_refuse_end_in_time_and_share_one_gpu_at_the_same_time(
    told: dict[str, Any],
) -> None:
    assert told["second"][0] == 2
    assert told["second"][1].startswith("error: this process has started or joined a Ray, and a")
    assert told["waiting"] == ["PASSIVE", "600"]
    assert told["called"] == [3, 1]
    assert told["refused"] == "x is not there"
    assert told["late"] is None
    assert max(ready for ready, _ in told["met"]) <= min(passed for _, passed in told["met"])
    assert told["full"] == [None, None]
    (group, gpus, pid), (other_group, other_gpus, other_pid) = told["places"]
    assert group is not None
    assert (group, gpus) == (other_group, other_gpus)
    assert pid != other_pid
    assert len(set(told["askers"])) == 2
    [[is_driver, cpus, _, free, total, gpu_free]] = told["nodes"]
    assert (is_driver, gpu_free is None or gpu_free > 0) == (True, True)
    assert cpus >= 1
    assert 0 < free <= total


def learned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the epochs of a training say beside its times, in order."""
    return [
        {name: x for name, x in row.items() if x is not None and name.startswith(("val.", "loss"))}
        for row in sorted(rows, key=epoch_of)
    ]


def epoch_of(row: dict[str, Any]) -> int:
    return int(row["epoch"])


def test_trials_of_one_process_are_as_those_of_their_own_and_live_through_its_death(
    told: dict[str, Any], study: Path
) -> None:
    trials = {row["trial_id"]: row for row in pq.read_table(study / "trials").to_pylist()}
    epochs = sorted(pq.read_table(study / "epochs").to_pylist(), key=epoch_of)
    of = {one: [row for row in epochs if row["trial_id"] == one] for one in TRIALS}

    assert {one: row["status"] for one, row in trials.items()} == {
        **dict.fromkeys(TRIALS, "completed"),
        FAILING: "failed",
        STOPPED: "pruned",
    }
    assert trials[FAILING]["error_type"] == "TrainingDivergedError"
    assert {row["attempt"] for row in trials.values()} == {1}
    assert list(map(epoch_of, of[STOPPED])) == [1, 2]
    for trial_id in (KILLED, LAST):
        alone = MemorySession()
        alone.num_threads = 1
        run_worker(config_of(trial_id), alone)
        assert learned(of[trial_id]) == learned(alone.rows)
    # What a process holds is nobody's where it is shared; one trial went on in its own.
    by_itself = {one: [row["peak_memory_bytes"] is not None for row in of[one]] for one in of}
    assert by_itself[STOPPED] == [False] * 2
    assert by_itself[LAST] == [False]
    assert by_itself[KILLED] == sorted(by_itself[KILLED])
    assert (by_itself[KILLED][0], by_itself[KILLED][-1]) == (False, True)
