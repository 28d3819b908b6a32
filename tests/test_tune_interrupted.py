"""`python -m ffl_ray.tune` killed, interrupted and without room: what it survives."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from support.forked import actors_of, run, start
from support.helpers import wait_for_epochs

import ffl_ray.results
from ffl_ray.console.stopping import STOPPING
from ffl_ray.tune import main

pytestmark = pytest.mark.ray
QUICK = [
    "--set", "data.fraction=0.2", "--set", "optim.epochs=4", "--set", "search.grace=0.25",
    "--name", "study",
]  # fmt: skip
# One network, whose size is computed once.
SPACE = """
BASE = {"model.mix": "2*resnet14", "data.val_fraction": 0.2, "optim.batch_size": 64}


def search_space(trial):
    trial.suggest_float("distill.temperature", 1, 4)
"""
RECORDED = {"completed", "pruned"}


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes that name a folder."""
    commands = (" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"]))
    return [command for command in commands if str(folder) in command]


@pytest.fixture
def space(tmp_path: Path) -> str:
    path = tmp_path / "space.py"
    path.write_text(SPACE)
    return str(path)


class Disk(NamedTuple):
    """A folder for studies, on a file system small enough to fill if this user may make one."""

    folder: Path
    is_small: bool


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        yield Disk(folder, False)
        return
    yield Disk(folder, True)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room on a file system; the file that takes it."""
    filler = folder / "filler"
    for block in (2**20, 2**12):
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(block))
    return filler


def losses(folder: Path) -> dict[tuple[str, int], float]:
    """Every stored epoch's loss, each stored once, in order, of a trial that has a row."""
    epochs = ffl_ray.results.load("study", str(folder)).epochs
    trials = ffl_ray.results.load("study", str(folder)).trials  # a search may run: read after them
    for trial_id, rows in epochs.groupby("trial_id"):
        assert list(rows.epoch) == list(range(1, len(rows) + 1)), trial_id
        assert trial_id in set(trials.trial_id)
    assert list(trials.trial_id) == [f"{number:05d}" for number in range(len(trials))]
    return {(row.trial_id, row.epoch): row["loss.total"] for _, row in epochs.iterrows()}


def test_killed_workers_a_full_disk_and_a_killed_driver_lose_no_finished_epoch(
    small_disk: Disk, space: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = small_disk.folder
    options = [space, *QUICK, "--set", "optim.epochs=12", "--num-samples", "5"]
    options += ["--storage-path", str(folder)]
    mark = f"mark-{random.random()}"
    # Its workers are started by Ray, and not forked: whom a kill orphans is a user's case.
    process = start(
        "tune", *options, out=subprocess.PIPE, FFL_RAY_TEST_MARK=mark, FFL_RAY_TEST_FORKS=None
    )
    wait_for_epochs(folder / "study", 2)
    victim = next(pid for pid, title in actors_of(mark) if "ImplicitFunc" in title)
    os.kill(victim, signal.SIGKILL)
    wait_for_epochs(folder / "study", 6)
    if small_disk.is_small:
        filler = fill(folder)
        _, errors = process.communicate(timeout=200)
        trials = ffl_ray.results.load("study", str(folder)).trials
        seen = losses(folder)
        filler.unlink()
        assert process.returncode == 2, errors
        assert len(errors.splitlines()) == 1
        assert "is full: " in errors
        assert "make room, and give the same command with --name study" in errors
        assert "failed" not in set(trials.status)
        process = start("tune", *options, out=subprocess.PIPE)
    else:
        seen = losses(folder)

    wait_for_epochs(folder / "study", len(seen) + 4)
    stored = losses(folder)
    process.send_signal(signal.SIGKILL)
    _, last_words = process.communicate(timeout=60)
    after_kill = losses(folder)
    assert "Nothing that was finished is lost: the same command with --name study" in last_words
    trials = ffl_ray.results.load("study", str(folder)).trials
    begun = {trial_id for trial_id, _ in after_kill}  # one that just started has no epoch yet
    for trial_id in begun & set(trials.trial_id[trials.status == "running"]):
        assert (folder / "study" / "checkpoints" / trial_id / "latest.pt").exists()
    again = run("tune", *options)

    assert again.returncode == 0, again.stderr
    trials, epochs, members = ffl_ray.results.load("study", str(folder))
    ended = losses(folder)
    assert seen.items() <= stored.items() <= after_kill.items() <= ended.items()
    assert set(trials.status) <= RECORDED
    assert len(trials) == 5
    assert trials.attempt.max() >= 2
    assert len(ended) == len(epochs) == int(trials.epochs_done.sum())
    assert list(trials.baseline.dropna()) == ["default", "plain"]
    assert set(members.trial_id) == set(trials.trial_id)

    nothing_left = main(options)
    changed = main([*options, "--set", "optim.lr=0.05"])

    shown, errors = capfd.readouterr()
    assert nothing_left == 0
    assert "all 5 trials ended before" in shown
    assert changed == 2
    assert "optim.lr was 0.1 and is 0.05" in errors


def test_sigterm_ends_it_as_ctrl_c_does_with_the_tables_complete(
    tmp_path: Path, space: str
) -> None:
    options = [space, *QUICK, "--set", "optim.epochs=300", "--storage-path", str(tmp_path)]
    options += ["--set", "search.plain_baseline=false"]
    process = start("tune", *options, out=subprocess.PIPE)
    wait_for_epochs(tmp_path / "study", 4)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=90)

    trials, epochs, _ = ffl_ray.results.load("study", str(tmp_path))

    assert process.returncode == 128 + signal.SIGTERM
    assert errors == ""
    assert out.count(STOPPING) == 1
    # How many run at once is the machine's answer, and one may have begun well before the next.
    assert f"{len(trials)} interrupted" in out
    assert "to go on: the same command with --name study" in out
    assert set(trials.status) == {"interrupted"}
    assert int(trials.epochs_done.sum()) == len(epochs)
    assert processes_of(tmp_path) == []
