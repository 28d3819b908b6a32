"""Trainings and trials of two workers on a real Ray."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import random
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from support.forked import actors_of, environment_of, run, start

import ffl_ray.results

pytestmark = pytest.mark.ray
LISTENING = (psutil.CONN_LISTEN, psutil.CONN_NONE)  # the latter for UDP


@pytest.mark.skipif(
    "FFL_RAY_TEST_SLOW" not in os.environ, reason="two minutes: FFL_RAY_TEST_SLOW=1 runs it"
)
def test_trials_of_two_workers_are_pruned_and_leave_their_cpus_to_the_next(tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    space.write_text(
        "BASE = {'data.fraction': 0.5, 'data.val_fraction': 0.2, 'optim.epochs': 3,\n"
        "        'optim.batch_size': 64, 'model.mix': '2*resnet20',\n"
        "        'search.grace': 0.34, 'search.reduction_factor': 2}\n"
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


def reachable(mark: str, before: set[int]) -> set[tuple[int, str]]:
    """The marked processes that listen for other machines, and where.

    Args:
        before: ids of processes that were there before any of these.
    """
    found = set()
    for one in psutil.net_connections("inet"):
        listens = one.status in LISTENING and one.laddr
        if one.pid is None or one.pid in before or not listens:
            continue
        address = ipaddress.ip_address(one.laddr.ip)
        plain = getattr(address, "ipv4_mapped", None) or address
        with contextlib.suppress(psutil.Error):
            if not plain.is_loopback and mark in environment_of(psutil.Process(one.pid)).values():
                found.add((one.pid, f"{plain}:{one.laddr.port}"))
    return found


def test_train_on_two_workers_listens_to_this_machine_and_fills_the_tables(tmp_path: Path) -> None:
    options = [
        "--set", "model.mix=2*resnet8", "--set", "data.val_fraction=0.2", "--set",
        "optim.epochs=3", "--set", "optim.batch_size=64", "--storage-path", str(tmp_path),
    ]  # fmt: skip

    mark = f"mark-{random.random()}"
    before = set(psutil.pids())
    process = start(
        "train", *options, "--num-workers", "2", "--name", "study", out=subprocess.PIPE,
        FFL_RAY_TEST_MARK=mark,
    )  # fmt: skip
    reached: set[tuple[int, str]] = set()
    workers: set[int] = set()
    while process.poll() is None:
        reached |= reachable(mark, before)
        titled = actors_of(mark)  # a title says at times what its worker does
        workers |= {number for number, title in titled if title.startswith("ray::RayTrainWorker")}
        time.sleep(0.5)
    _, errors = process.communicate()

    assert process.returncode == 0, errors
    assert errors == ""
    # torch's store, at which the workers meet, can be bound to no address.
    assert {number for number, _ in reached} <= workers
    assert len({place for _, place in reached}) <= 1
    trials, epochs, members = ffl_ray.results.load("study", str(tmp_path))
    assert list(trials.status) == ["completed"]
    assert list(epochs.epoch) == [1, 2, 3]
    assert epochs["loss.total"].is_monotonic_decreasing
    assert len(members) == 8
