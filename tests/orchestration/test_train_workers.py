"""Trainings and trials of two workers on a real Ray."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.forked import run

import ffl_ray.results

pytestmark = pytest.mark.ray


@pytest.mark.skipif(
    "FFL_RAY_TEST_SLOW" not in os.environ, reason="two minutes: FFL_RAY_TEST_SLOW=1 runs it"
)
def test_trials_of_two_workers_are_pruned_and_leave_their_cpus_to_the_next(tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    space.write_text(
        "BASE = {'data.fraction': 0.5, 'data.val_fraction': 0.2, 'optim.epochs': 3,\n"
        "        'optim.batch_size': 64, 'model.mix': '2*resnet20',\n"
        "        'search.grace': 0.67, 'search.reduction_factor': 2}\n"
        "def search_space(trial):\n"
        "    trial.suggest_float('distill.temperature', 1, 4)\n"
        "    return {'optim.lr': 0.1 if trial.number == 0 else 1e-6}\n"
    )
    options = ["--storage-path", str(tmp_path), "--name", "study"]
    first = run("tune", str(space), "--num-samples", "1", *options)
    assert first.returncode == 0, first.stderr

    more = ["--num-samples", "3", "--num-workers", "2"]
    done = run("tune", str(space), *more, *options, timeout_s=400)

    assert done.returncode == 0, done.stderr
    trials = ffl_ray.results.load("study", str(tmp_path)).trials
    assert list(trials.status) == ["completed", "pruned", "pruned"]
    assert list(trials.num_workers) == [1, 2, 2]


def test_train_on_two_workers_hands_every_epoch_to_the_tables(tmp_path: Path) -> None:
    options = [
        "--set", "model.mix=2*resnet8", "--set", "data.val_fraction=0.2", "--set",
        "optim.epochs=3", "--set", "optim.batch_size=64", "--storage-path", str(tmp_path),
    ]  # fmt: skip

    done = run("train", *options, "--num-workers", "2", "--name", "study")

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    trials, epochs, members = ffl_ray.results.load("study", str(tmp_path))
    assert list(trials.status) == ["completed"]
    assert list(epochs.epoch) == [1, 2, 3]
    assert epochs["loss.total"].is_monotonic_decreasing
    assert len(members) == 8
