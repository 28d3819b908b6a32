"""Functions called on the machines that Ray has: they return, refuse, end in time, and meet."""

import json

import pytest
from support.forked import run_program

from ffl_ray.planning.layout import available_cpus

PROGRAM = """
import contextlib, io, json, os, time
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
"""


@pytest.mark.ray
@pytest.mark.skipif(available_cpus() < 2, reason="two calls at once take two CPUs")
def test_calls_return_refuse_end_in_time_and_share_one_gpu_at_the_same_time() -> None:
    two_gpus = '{"GPU": 2}'
    done = run_program(PROGRAM, OMP_WAIT_POLICY=None, RAY_OVERRIDE_RESOURCES=two_gpus)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])  # Ray may have said that a worker died
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
