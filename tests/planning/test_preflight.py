"""Looking ahead on this machine, without Ray: what is measured, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.forked import run_program
from support.helpers import FOUR_DIMENSIONS

from ffl_ray.config.overrides import with_overrides
from ffl_ray.errors import PlanError
from ffl_ray.planning import nodes, preflight
from ffl_ray.planning.data_check import data_facts
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.limits import PROCESS_BYTES, Node
from ffl_ray.planning.nodes import ThisMachine, free_disk, memory_facts
from ffl_ray.planning.throughput import Timed
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.space import load_space, settle
from ffl_ray.tune import main


class FakeCluster(NamedTuple):
    """Machines on which nothing may be called."""

    found: Sequence[Node]

    def nodes(self) -> list[Node]:
        return [*self.found]

    def call(self, function: Callable[..., Any], *args: Any, cpus: float, gpus: float) -> Any:
        pytest.fail("it trains")


def look(folder: Path, nodes: Sequence[Node] = ()) -> preflight.Preflight:
    space = load_space("temperature")
    study = settle(space, {})
    base, search = study.training, study.search
    base = with_overrides(base, {"data.fraction": 0.3})
    plan = Plan(1, 1, 1, 0)
    storage = Storage(str(folder)).child("study")
    cluster = FakeCluster(nodes) if nodes else ThisMachine(1)
    facts = data_facts(base)
    return preflight.run_preflight(space, base, search, plan, facts, storage, cluster)


def test_a_study_is_forecast_without_a_file_written(tmp_path: Path) -> None:
    found = look(tmp_path)

    assert found.forecast.trial_s is not None
    assert 0.1 < found.forecast.trial_s < 120
    assert found.forecast.parameters[0] > 100_000
    assert found.misfits == 0
    assert list(tmp_path.iterdir()) == []


class Disturbed:
    """A machine on which each round of two trainings takes so many times as long as alone."""

    def __init__(self, *times: float | None) -> None:
        self.left = [*times]

    def nodes(self) -> list[Node]:
        return []

    def call(self, function: Callable[..., Any], *args: Any, cpus: float, gpus: float) -> Any:
        slower = self.left.pop(0)
        return slower and [Timed(10, 1.0 * slower), Timed(20, 3.0 * slower)]


@pytest.mark.parametrize(
    ("times", "found", "left"),
    [
        ((3.0, 2.0, 1.0, 1.01, 1.0), 1.0, 1),  # what starts beside it is waited for
        ((2.0, 1.95, 1.0), 1.95, 1),  # what stays is met by the trials as well
        ((1.0, 1.2, 1.0), 1.0, 1),
        ((8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0), 3.0, 1),
        ((2.0, None, 1.0), 2.0, 1),
        ((None, 1.0), None, 1),
    ],
)
def test_speed_is_measured_until_it_gets_no_faster(
    times: tuple[float | None, ...], found: float | None, left: int
) -> None:
    cluster = Disturbed(*times)

    timed = preflight.steadily_measured([], Plan(1, 1, 1, 0), cluster)

    assert timed == (found and [Timed(10, found), Timed(20, 3.0 * found)])
    assert len(cluster.left) == left


def test_a_gpu_is_measured_once() -> None:
    cluster = Disturbed(3.0, 1.0)

    assert preflight.steadily_measured([], Plan(1, 1, 1, 1), cluster) is not None
    assert cluster.left == [1.0]


def test_a_machine_with_too_little_memory_is_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    small = [Node(True, 1, 0, PROCESS_BYTES + 500_000, 0)]

    with pytest.raises(PlanError, match="needs .* MB of memory for each worker, and there are 5"):
        look(tmp_path, small)


def test_it_says_how_many_times_the_estimate_the_measured_trainings_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*args: Any) -> list[Timed]:
        return [Timed(cost.macs, 1e-5, round(2.5 * cost.memory_bytes)) for cost in args[1]]

    on_cpu = look(tmp_path).memory_factor
    monkeypatch.setattr(preflight, "measure", measured)

    assert on_cpu == 1
    assert look(tmp_path).memory_factor == pytest.approx(2.5)


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "free_disk", lambda *_: 1_000_000)
    monkeypatch.setattr(preflight, "measure", lambda *_: None)

    with pytest.raises(PlanError, match="may take .* MB at .*/study, and 1.0 MB are free there"):
        look(tmp_path)


def test_a_local_disk_is_refused_on_a_cluster_of_several_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "mounts", lambda: "/dev/sda1 / ext4 rw 0 0\n")

    with pytest.raises(PlanError, match="1 other node of the cluster can run trials and not see"):
        look(tmp_path, [Node(True, 1, 0), Node(False, 1, 0)])


def test_free_disk_is_that_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    deep = free_disk(str(tmp_path / "not" / "yet" / "there"), True)

    assert deep is not None
    assert deep == pytest.approx(free_disk(str(tmp_path), True), rel=0.1)
    assert free_disk("s3://bucket/study", False) is None


def test_a_container_counts_its_own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "max").write_text("1000000\n")
    (tmp_path / "used").write_text("400000\n")
    machine = memory_facts(False)
    pair = (str(tmp_path / "max"), str(tmp_path / "used"))
    monkeypatch.setattr(nodes, "CGROUPS", [pair])

    inside = memory_facts(False)

    assert inside == (600_000, 1_000_000, None)
    assert machine[1] is not None
    assert machine[1] > 1_000_000
    (tmp_path / "max").write_text("max\n")
    assert memory_facts(False)[1] != 1_000_000


IN_ONE_PROCESS = """
import os, sys
from ffl_ray.cli import main

os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # as Slurm and taskset do

def settled():
    return {name for name in os.environ if name.startswith(("RAY_", "TUNE_", "GLOO_"))}

import ray

before = settled()
status = main(sys.argv[1:])
assert not ray.is_initialized()
assert settled() == before, settled() - before
sys.exit(status)
"""


@pytest.mark.ray
@pytest.mark.skipif(sys.platform != "linux", reason="processes elsewhere may use every CPU")
def test_a_dry_run_shows_the_plan_and_leaves_nothing_on_disk_or_in_its_process(
    tmp_path: Path,
) -> None:
    options = ["--dry-run", "--storage-path", str(tmp_path), "--num-samples", "30"]
    done = run_program(IN_ONE_PROCESS, "tune", FOUR_DIMENSIONS, *options)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for part in (
        "30 trials, 1 at once",
        "with weak trials pruned",
        "if none is",
        "for each worker",
        "num_branches",
    ):
        assert part in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_check_says_what_was_built(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status = main(["temperature", "--check", "--storage-path", str(tmp_path)])

    out, errors = capfd.readouterr()
    assert (status, errors) == (0, "")
    assert "2 at the ends of ranges, 1,000 at random" in out
    assert "1 distinct" in out
    assert list(tmp_path.iterdir()) == []
