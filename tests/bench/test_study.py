"""`bench study`: the arithmetic of the fixed cost, and the CPU time of a command's processes."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from support.helpers import run
from support.studies import POINTS, Made, make_study

from benchmarks.compare.study import compared
from ffl_ray.bench.fixed_cost import TimedTrial, cpu_in_steps, fixed_cost, trials_of_study
from ffl_ray.bench.processes import MARK
from ffl_ray.bench.study import (
    Measured,
    cpu_share,
    epochs_of_a_trial,
    figures_of,
    first_s,
)
from ffl_ray.bench.watched import DRIVER, CpuWatch, Ran, Sample, role_of, run_watched

BUSY = "import time\nwhile time.process_time() < {}: pass\n"


def trial(started: float, trains: float, rest: float) -> TimedTrial:
    """One of two epochs, with half of the rest before them and half after them."""
    first = started + rest / 2 + trains / 2
    epochs = [(first, trains / 2), (first + trains / 2, trains / 2)]
    return TimedTrial(started, started + trains + rest, epochs)


def test_a_slot_without_pauses_costs_what_its_trials_lose_inside() -> None:
    one_by_one = [trial(i * 1.3, trains=1.0, rest=0.3) for i in range(5)]

    cost = fixed_cost(one_by_one, slots=1, wall_s=20.0)

    assert cost.after_first_s == pytest.approx(0.3)
    assert cost.in_trial_s == pytest.approx(0.3)
    assert cost.trials == pytest.approx(4.0)
    assert cost.seen_s == pytest.approx((20.0 - 5.0) / 5)


def test_pauses_between_trials_count_and_the_first_trial_does_not() -> None:
    slow_first = trial(0.0, trains=1.0, rest=30.0)
    others = [trial(31.5 + i * 1.7, trains=1.0, rest=0.2) for i in range(4)]

    cost = fixed_cost([slow_first, *others], slots=1, wall_s=100.0)

    assert cost.after_first_s == pytest.approx(0.2 + 0.5)


def test_two_slots_are_counted_by_the_share_of_each_trial_in_the_time() -> None:
    """The second slot's first trial is half over when the first trial of all ends."""
    first = [trial(i * 2.0, trains=1.0, rest=1.0) for i in range(3)]
    second = [trial(1.0 + i * 2.0, trains=1.0, rest=1.0) for i in range(3)]

    cost = fixed_cost([*first, *second], slots=2, wall_s=7.0)

    # From 2 to 7: two trials of the first slot, two and a half of the second, and the first
    # slot's second without work at the end.
    assert cost.trials == pytest.approx(4.5)
    assert cost.after_first_s == pytest.approx((2 * 5.0 - 4.5) / 4.5)


def test_a_single_trial_has_no_time_after_it() -> None:
    assert fixed_cost([trial(0.0, 1.0, 1.0)], slots=2, wall_s=3.0).after_first_s is None


def test_a_studys_trials_are_read_from_its_tables(tmp_path: Path) -> None:
    tables = make_study(tmp_path, [Made(POINTS[0], status="running", epochs=0)])
    for epoch in (1, 2):
        times = {"time": datetime.fromtimestamp(epoch, UTC), "epoch_s": 0.5, "train_cpu_s": 0.4}
        row = {"epoch": epoch, "best_epoch": 1, "objective_value": 0.5, **times}
        tables.epoch("00000", row, [], [])
    tables.end("00000", "completed")

    (found,) = trials_of_study(tmp_path)

    assert found.epochs == [(1.0, 0.5), (2.0, 0.5)]
    assert time.time() - 60 < found.started <= found.ended < time.time() + 1
    assert cpu_in_steps(tmp_path) == pytest.approx(0.8)


@pytest.mark.parametrize(("epoch_s", "epochs"), [(0.2, 5), (0.3, 3), (1.4, 1), (30.0, 1)])
def test_a_trial_has_as_many_epochs_as_come_closest_to_a_second(
    epoch_s: float, epochs: int
) -> None:
    assert epochs_of_a_trial(epoch_s) == epochs


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("/v/python -m ffl_ray.tune", DRIVER),
        ("/v/ray/core/src/ray/raylet/raylet --raylet_socket_name=x", "raylet"),
        ("/v/ray/core/src/ray/gcs/gcs_server --log_dir=x", "gcs"),
        ("ray::train_in_actor.train()", "workers"),
        ("/v/python -u /v/ray/dashboard/agent.py", "agents"),
        ("/v/python /v/ray/_private/log_monitor.py", "monitors"),
        ("/v/python /v/ray/_private/workers/default_worker.py", "workers"),
    ],
)
def test_a_process_is_known_by_its_command_line(command: str, role: str) -> None:
    assert role_of(command) == role


def test_a_process_that_leaves_its_parent_is_counted_whatever_its_name_holds(
    tmp_path: Path,
) -> None:
    odd = tmp_path / "a) b (c"
    odd.symlink_to(sys.executable)
    done = tmp_path / "done"
    code = f"{BUSY.format(0.5)}open({str(done)!r}, 'w').close()\ntime.sleep(2)"
    parent = f"""
import pathlib, subprocess, time
subprocess.Popen([{str(odd)!r}, "-c", {code!r}], start_new_session=True)
while not pathlib.Path({str(done)!r}).exists():
    time.sleep(0.05)
time.sleep(0.7)
"""

    ran = run_watched([sys.executable, "-c", parent], tmp_path / "out")

    used = ran.cpu_between(ran.started, ran.ended)
    assert ran.status == 0
    assert used is not None
    assert 0.4 < sum(used.values()) < 1.5


def test_processes_of_others_are_not_counted() -> None:
    os.environ.pop(MARK, None)

    assert CpuWatch("nobody").sample().cpu_s == {}


def measured(in_steps_s: float | None = None) -> Measured:
    """Three trials of a slot, and a driver and a worker that were looked at once a second."""
    trials = [trial(100.0 + i * 1.5, trains=1.0, rest=0.5) for i in range(3)]
    samples = [Sample(90.0 + i, {DRIVER: 5.0 + 0.1 * i, "workers": 1.0 * i}) for i in range(20)]
    ran = Ran(started=90.0, ended=110.0, status=0, output="", samples=samples)
    return Measured(ran, trials, fixed_cost(trials, 1, 20.0), in_steps_s)


def test_the_share_of_cpu_time_is_of_all_processes_after_start_up() -> None:
    study = measured(in_steps_s=3.3)

    # From the look at 100 to the one at 104: the first trial trains from 100.25, the last ends
    # at 104.5.
    assert first_s(study) == pytest.approx(10.25)
    assert cpu_share(study) == pytest.approx(3.3 / 4.4)


def test_without_samples_there_is_no_share() -> None:
    study = measured(in_steps_s=3.0)
    study = study._replace(ran=study.ran._replace(samples=[]))

    figures = {figure.name: figure.value for figure in figures_of([study], "", 1)}

    assert figures["cpu_share_in_steps"] is None
    assert figures["fixed_s"] == pytest.approx(0.5)


def test_the_documented_side_is_compared_by_fixed_cost() -> None:
    slow = [trial(i * 11.0, trains=1.0, rest=10.0) for i in range(2)]
    theirs = measured()._replace(trials=slow, cost=fixed_cost(slow, 1, 22.0))

    figures = {f.name: f.value for f in compared([measured()], [theirs], 1)}

    assert figures["documented.over_ours"] == pytest.approx(10.0 / 0.5)
    assert "documented.start_s" not in figures


@pytest.mark.ray
@pytest.mark.skipif("FFL_RAY_TEST_SLOW" not in os.environ, reason="FFL_RAY_TEST_SLOW is not set")
def test_the_bench_runs_a_study_end_to_end(tmp_path: Path) -> None:
    options = ("--trials", "4", "--no-default-study")

    done = run("bench", "study", *options, "--out", str(tmp_path))

    assert done.returncode == 0, done.stderr
    row = pd.read_parquet(tmp_path / "study").iloc[0]
    assert row["trials"] == 4
    assert 0 < row["fixed_s"] < 5
    assert 0 < row["cpu_share_in_steps"] < 1
