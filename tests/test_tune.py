"""`python -m ffl_ray.tune` from the outside, on a real Ray: what it prints and writes."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import NamedTuple

import optuna
import pytest
from PIL import Image
from support.forked import run

import ffl_ray.results
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.loader import open_test
from ffl_ray.errors import DataError
from ffl_ray.export.__main__ import main as export
from ffl_ray.report.__main__ import main as report
from ffl_ray.results.steering import ask_for
from ffl_ray.results.storage.storage import Storage
from ffl_ray.train import main as train
from ffl_ray.tune import main

pytestmark = pytest.mark.ray
SPACE = """
from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "folder", "data.image_size": 16, "data.val_fraction": 0.25,
    "optim.epochs": 4, "optim.batch_size": 16, "optim.weight_decay": 1.0, "optim.lr": 1e-9,
    "search.grace": 0.5, "search.reduction_factor": 2,
}


def search_space(trial):
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet8",))
    trial.suggest_float("distill.temperature", 1.0, 4.0)
    trial.suggest_categorical("fusion.design", ["sum", "gated"])
    kind = {0: "strong", 2: "wild"}.get(trial.number, "weak")
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
    ask_for(Storage(f"{folder}/study"), "num_branches=3 fusion.design=gated")
    # Two at once on any machine: trial 0, the strong one, comes to the rung before the weak.
    few = ["--num-samples", "6", "--max-concurrent-trials", "2"]
    done = run("tune", *options, *few, "--name", "study", *mirror)
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
    assert list(trials.status[:3]) == ["completed", "completed", "failed"]
    assert list(trials.baseline[:3].fillna("")) == ["default", "plain", ""]
    assert "trial 00001 is the plain baseline: resnet8 alone, untaught, " in done.stdout
    # How many is the machine's answer: tests/planning/test_plain_baseline.py holds the rule.
    assert f"{trials.epochs_planned[1]} epochs: as long as the 4 of trial 00000" in done.stdout
    assert "the plain baseline" in done.stdout.splitlines()[-1]
    assert (trials.status == "pruned").sum() >= 1
    assert trials.error_type[2] == "TrainingDivergedError"
    assert trials.attempt[2] == 1  # what would fail again is not tried again
    assert "00002 failed: TrainingDivergedError: the " in done.stdout
    assert list(trials.epochs_done) == [int((epochs.trial_id == t).sum()) for t in trials.trial_id]
    done_all = trials[trials.status == "completed"]
    assert (done_all.epochs_done == done_all.epochs_planned).all()
    assert (trials.epochs_done[trials.status == "pruned"] < 4).all()
    assert trials.split_hash.nunique() == 1
    assert set(members.split) == {"val"}
    for trial in trials[trials.epochs_done > 0].to_dict("records"):
        latest = members[(members.trial_id == trial["trial_id"]) & (members.checkpoint == "latest")]
        assert len(latest) == trial["num_branches"] + 1 + (trial["baseline"] != "plain")
        assert json.loads(trial["params"]).get("num_branches", 1) == trial["num_branches"]
    asked = json.loads(trials.params[2])
    assert (asked["num_branches"], asked["fusion.design"]) == (3, "gated")
    classes = ffl_ray.results.load("study", str(tmp_path)).classes
    assert set(classes.trial_id) == set(trials.trial_id[trials.status == "completed"])
    assert set(classes.groupby("member").images.sum()) >= {40}
    assert classes["class"][:4].tolist() == ["ant", "bee", "cat", "dog"]
    description = json.loads((tmp_path / "study" / "study.json").read_text())
    assert description["data"]["split_hash"] == trials.split_hash[0]
    assert "suggest_mix" in description["space"]
    kept = sorted(path.name for path in (tmp_path / "study" / "checkpoints").glob("*/*"))
    assert kept == ["latest.pt"] * min(3, int((trials.status == "completed").sum()))
    assert not (tmp_path / "study" / "ray").exists()  # Tune's own files, which nobody reads
    told = ffl_ray.results.optuna_study("study", str(tmp_path))
    states = {"completed": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    wanted = [states[status] for status in trials.status]
    wanted[1] = "FAIL"  # no sampler learns from the plain baseline
    assert [t.state.name for t in told.trials] == wanted
    assert [len(t.intermediate_values) for t in told.trials] == list(trials.epochs_done)
    live = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/mirror.db")
    assert [(t.state, t.intermediate_values) for t in live.trials] == [
        (t.state, t.intermediate_values) for t in told.trials
    ]
    with pytest.raises(DataError, match="0.png can't be read as an image"):
        open_test(DataConfig(name="folder", dir=str(tmp_path / "data"), image_size=16))
    kept = ["--config", f"{tmp_path}/study/config.yaml", "--name", "study"]
    assert main([searched.options[0], *kept, "--storage-path", str(tmp_path)]) == 0  # all ended


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
    searched_ones = teacher[teacher.baseline != "plain"]
    best = searched_ones.sort_values("objective_value", ascending=False).iloc[0]
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
    searched: Searched, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = searched.folder
    data = ["--set", "data.name=folder", "--set", "data.image_size=16", "--data-dir"]
    small = ["--set", "model.mix=2*resnet8", "--set", "optim.epochs=1", "--name", "trained"]
    trained = train([*data, str(folder / "data"), *small, "--storage-path", str(folder)])
    reported = report(["study", "--storage-path", str(folder)])
    exporting = ["study", "--trial", "1", "--storage-path", str(folder)]
    exporting += ["--format", "safetensors"]
    exported = export([*exporting, "--out", str(folder / "exported")])
    said = capfd.readouterr().err
    # The plain baseline is held against nothing.
    options = ["study", "--storage-path", str(folder), "--trial", "1", "--seeds", "1"]
    options += ["--baselines", "none"]

    refused = run("confirm", *options)
    begun = (folder / "study" / "confirmed").exists()
    for broken in (folder / "data" / "test").glob("*/0.png"):
        Image.new("RGB", (16, 16), (60, 100, 140)).save(broken)
    mended = run("confirm", *options)

    assert (trained, reported, exported) == (0, 0, 0), said
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "error: there is no test split: data.dir: " in refused.stderr
    assert not begun  # hours of training are not spent on what can't be tested
    assert mended.returncode == 0, mended.stderr
    after = ffl_ray.results.load("study/confirmed", str(folder))
    planned = int(ffl_ray.results.load("study", str(folder)).trials.epochs_planned[1])
    assert list(after.epochs.epoch) == [*range(1, planned + 1)]
    assert set(after.trials["model.mix"]) == {"resnet8"}
    assert set(after.epochs.attempt) == {1}
    assert set(after.members.images) == {4}
    assert (set(after.classes.split), set(after.classes.images)) == ({"test"}, {1})
    again = f"--set data.dir={folder}/data"
    assert again in (folder / "exported" / "README.md").read_text()
