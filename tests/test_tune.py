"""`python -m ffl_ray.tune` from the outside, on a real Ray: what it prints, writes and survives."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import optuna
import pandas as pd
import pytest
from PIL import Image
from support.helpers import run, start

import ffl_ray.results
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.loader import open_test
from ffl_ray.errors import DataError

pytestmark = pytest.mark.ray
QUICK = [
    "--set", "data.fraction=0.3", "--set", "optim.epochs=4", "--set", "search.grace_epochs=1",
    "--name", "study",
]  # fmt: skip
RECORDED = {"completed", "pruned"}


def part_files(folder: Path, table: str) -> list[Path]:
    return sorted((folder / "study" / table).glob("part-*.parquet"))


def wait_for_epochs(folder: Path, count: int) -> None:
    """Return when the tables hold that many epochs, or after two minutes."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        files = part_files(folder, "epochs")
        if files and len(pd.read_parquet(files[0].parent)) >= count:
            return
        time.sleep(0.05)


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in text:
            found.append(text)
    return found


def actors_of(mark: str) -> list[tuple[int, str]]:
    """Process id and title of the living Ray actors whose environment holds a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            title = (path / "cmdline").read_bytes().decode(errors="replace")
            if title.startswith("ray::") and mark.encode() in (path / "environ").read_bytes():
                found.append((int(path.name), title))
    return found


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


SPACE = """
from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "folder", "data.image_size": 16, "data.val_fraction": 0.25,
    "optim.epochs": 4, "optim.batch_size": 16, "optim.weight_decay": 1.0, "optim.lr": 1e-9,
    "search.grace_epochs": 2, "search.reduction_factor": 2,
}


def search_space(trial):
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet20",))
    trial.suggest_float("distill.temperature", 1.0, 4.0)
    trial.suggest_categorical("fusion.design", ["sum", "gated"])
    kind = {0: "strong", 1: "wild"}.get(trial.number, "weak")
    strong = {"optim.lr": 0.05, "optim.weight_decay": 0.0}
    return {"strong": strong, "wild": {"optim.lr": 100.0}, "weak": {}}[kind]
"""


def write_images(root: Path) -> Path:
    """A folder of four classes of colour, whose test images can't be read by anybody."""
    generator = random.Random(0)
    for name, shade in (("ant", 60), ("bee", 100), ("cat", 140), ("dog", 180)):
        (root / "train" / name).mkdir(parents=True)
        (root / "test" / name).mkdir(parents=True)
        (root / "test" / name / "0.png").write_bytes(b"whoever reads this fails")
        for index in range(40):
            colour = tuple(shade + generator.randint(-30, 30) for _ in range(3))
            Image.new("RGB", (16, 16), colour).save(root / "train" / name / f"{index}.png")
    return root


class Searched(NamedTuple):
    """A finished search on a folder of images whose test split nobody can read."""

    folder: Path
    options: list[str]
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("searched")
    space = folder / "mine.py"
    space.write_text(SPACE)
    data = write_images(folder / "data")
    options = [str(space), "--data-dir", str(data), "--storage-path", str(folder)]
    mirror = ["--optuna-storage", f"sqlite:///{folder}/mirror.db"]
    done = run("tune", *options, "--num-samples", "6", "--name", "study", *mirror)
    return Searched(folder, options, done)


def test_a_search_completes_prunes_and_fails_trials_without_opening_the_test_split(
    searched: Searched,
) -> None:
    tmp_path, _, done = searched

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "best trials, validation" in done.stdout
    assert f'trials = pd.read_parquet("{tmp_path}/study/trials")' in done.stdout
    trials, epochs, members = ffl_ray.results.load("study", str(tmp_path))
    assert list(trials.status[:2]) == ["completed", "failed"]
    assert (trials.status == "pruned").sum() >= 1
    assert trials.error_type[1] == "TrainingDivergedError"
    assert trials.attempt[1] == 1  # what would fail again is not tried again
    assert "00001 failed: TrainingDivergedError: the " in done.stdout
    assert list(trials.epochs_done) == [int((epochs.trial_id == t).sum()) for t in trials.trial_id]
    assert (trials.epochs_done[trials.status == "completed"] == 4).all()
    assert (trials.epochs_done[trials.status == "pruned"] < 4).all()
    assert trials.split_hash.nunique() == 1
    assert set(members.split) == {"val"}
    for trial in trials[trials.epochs_done > 0].to_dict("records"):
        latest = members[(members.trial_id == trial["trial_id"]) & (members.checkpoint == "latest")]
        assert len(latest) == trial["num_branches"] + 2
        assert json.loads(trial["params"])["num_branches"] == trial["num_branches"]
    description = json.loads((tmp_path / "study" / "study.json").read_text())
    assert description["data"]["split_hash"] == trials.split_hash[0]
    assert "suggest_mix" in description["space"]
    kept = sorted(path.name for path in (tmp_path / "study" / "checkpoints").glob("*/*"))
    assert kept == ["best.pt"] * min(3, int((trials.status == "completed").sum()))
    assert not (tmp_path / "study" / "ray").exists()  # Tune's own files, which nobody reads
    told = ffl_ray.results.optuna_study("study", str(tmp_path))
    states = {"completed": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    assert [t.state.name for t in told.trials] == [states[status] for status in trials.status]
    assert [len(t.intermediate_values) for t in told.trials] == list(trials.epochs_done)
    live = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/mirror.db")
    assert [(t.state, t.intermediate_values) for t in live.trials] == [
        (t.state, t.intermediate_values) for t in told.trials
    ]
    with pytest.raises(DataError, match="0.png can't be read as an image"):
        open_test(DataConfig(name="folder", dir=str(tmp_path / "data"), image_size=16))


def test_a_taught_search_of_two_objectives_is_mirrored_and_gives_a_front_over_members(
    searched: Searched,
) -> None:
    folder, options, _ = searched
    url = f"sqlite:///{folder}/mirror.db"
    pupil = ["--name", "pupil", "--num-samples", "3", "--warm-start", "study"]
    objectives = ["--objective", "ensemble.nll", "--objective", "latency_ms"]

    done = run("tune", *options, *pupil, *objectives, "--optuna-storage", url)

    assert done.returncode == 0, done.stderr
    assert "front over all members of completed trials" in done.stdout
    trials = ffl_ray.results.load("pupil", str(folder)).trials
    teacher = ffl_ray.results.load("study", str(folder)).trials
    best = teacher.sort_values("objective_value", ascending=False).iloc[0]
    assert trials["model.mix"][0] == best["model.mix"]
    assert trials["distill.temperature"][0] == best["distill.temperature"]
    shown = optuna.load_study(study_name="pupil", storage=url)
    rebuilt = ffl_ray.results.optuna_study("pupil", str(folder))
    assert [t.values for t in shown.trials] == [t.values for t in rebuilt.trials]
    assert [t.state for t in shown.trials] == [t.state for t in rebuilt.trials]
    front = ffl_ray.results.front("pupil", str(folder))
    assert {"trial_id", "member", "nll", "latency_ms"} <= set(front.columns)
    assert front["nll"].is_monotonic_increasing
    assert front["latency_ms"].is_monotonic_decreasing


def test_only_a_confirmation_opens_the_test_split_and_goes_on_once_it_is_mended(
    searched: Searched,
) -> None:
    folder = searched.folder
    data = ["--set", "data.name=folder", "--set", "data.image_size=16", "--data-dir"]
    small = ["--set", "model.mix=2*resnet20", "--set", "optim.epochs=1", "--name", "trained"]
    trained = run("train", *data, str(folder / "data"), *small, "--storage-path", str(folder))
    reported = run("report", "study", "--storage-path", str(folder))
    exporting = ["study", "--storage-path", str(folder), "--format", "safetensors"]
    exported = run("export", *exporting, "--out", str(folder / "exported"))
    options = ["study", "--storage-path", str(folder), "--top", "1", "--seeds", "1"]
    options += ["--baselines", "none"]

    refused = run("confirm", *options)
    before = ffl_ray.results.load("study/confirmed", str(folder))
    for broken in (folder / "data" / "test").glob("*/0.png"):
        Image.new("RGB", (16, 16), (60, 100, 140)).save(broken)
    mended = run("confirm", *options)

    for passed in (trained, reported, exported):
        assert passed.returncode == 0, passed.stderr
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "can't go on: the test split can't be opened: data.dir: " in refused.stderr
    assert list(before.trials.status) == ["interrupted"]
    assert before.members.empty
    assert mended.returncode == 0, mended.stderr
    after = ffl_ray.results.load("study/confirmed", str(folder))
    assert list(after.epochs.epoch) == [1, 2, 3, 4]
    assert list(after.epochs.attempt[:3]) == [1, 1, 1]
    assert set(after.members.images) == {4}


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
    trials, epochs, _ = ffl_ray.results.load("study", str(folder))
    for trial_id, rows in epochs.groupby("trial_id"):
        assert list(rows.epoch) == list(range(1, len(rows) + 1)), trial_id
        assert trial_id in set(trials.trial_id)
    assert list(trials.trial_id) == [f"{number:05d}" for number in range(len(trials))]
    return {(row.trial_id, row.epoch): row["loss.total"] for _, row in epochs.iterrows()}


def test_killed_workers_a_full_disk_and_a_killed_driver_lose_no_finished_epoch(
    small_disk: Disk,
) -> None:
    folder = small_disk.folder
    options = [*QUICK, "--set", "optim.epochs=8", "--num-samples", "5"]
    options += ["--storage-path", str(folder)]
    mark = f"mark-{random.random()}"
    process = start("tune", *options, out=subprocess.PIPE, FFL_RAY_TEST_MARK=mark)
    wait_for_epochs(folder, 2)
    victim = next(pid for pid, title in actors_of(mark) if "ImplicitFunc" in title)
    os.kill(victim, signal.SIGKILL)
    wait_for_epochs(folder, 6)
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

    wait_for_epochs(folder, len(seen) + 4)
    stored = losses(folder)
    process.send_signal(signal.SIGKILL)
    _, last_words = process.communicate(timeout=60)
    after_kill = losses(folder)
    assert "Nothing that was finished is lost: the same command with --name study" in last_words
    trials = ffl_ray.results.load("study", str(folder)).trials
    for trial_id in trials.trial_id[trials.status == "running"]:
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
    assert set(members.trial_id) == set(trials.trial_id)

    nothing_left = run("tune", *options)
    changed = run("tune", *options, "--set", "optim.lr=0.05")

    assert nothing_left.returncode == 0
    assert "all 5 trials ended before" in nothing_left.stdout
    assert changed.returncode == 2
    assert "optim.lr was 0.1 and is 0.05" in changed.stderr


def test_ctrl_c_ends_cleanly_with_the_tables_complete(tmp_path: Path) -> None:
    options = [*QUICK, "--set", "optim.epochs=300", "--storage-path", str(tmp_path)]
    process = start("tune", *options, out=subprocess.PIPE)
    wait_for_epochs(tmp_path, 4)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=90)

    trials, epochs, _ = ffl_ray.results.load("study", str(tmp_path))

    assert process.returncode == 130
    assert errors == ""
    assert "2 interrupted" in out
    assert set(trials.status) == {"interrupted"}
    assert int(trials.epochs_done.sum()) == len(epochs)
    assert processes_of(tmp_path) == []


@pytest.mark.skipif(
    "FFL_RAY_TEST_SLOW" not in os.environ, reason="two minutes: FFL_RAY_TEST_SLOW=1 runs it"
)
def test_trials_of_two_workers_are_pruned_and_leave_their_cpus_to_the_next(tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    space.write_text(
        "BASE = {'data.fraction': 0.5, 'data.val_fraction': 0.2, 'optim.epochs': 3,\n"
        "        'optim.batch_size': 64, 'model.mix': '2*resnet20',\n"
        "        'search.grace_epochs': 2, 'search.reduction_factor': 2}\n"
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
        "--set", "model.mix=2*resnet20", "--set", "data.val_fraction=0.2", "--set",
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
