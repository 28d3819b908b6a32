"""A search beside which TensorBoard, MLflow and W&B hold what the tables do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.forked import run
from support.helpers import ROOT
from support.tracked import events, runs, wandb_history

import ffl_ray.results
from ffl_ray.trackers.trackers import TRACKERS

KEY = "0123456789abcdef0123456789abcdef01234567"
# SQLAlchemy's word to MLflow's authors.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


def scalars(folder: Path, trial_id: str, tag: str) -> dict[int, float]:
    """A tag's values by step; a step that is there twice fails."""
    points = [(s, v) for s, t, v in events(folder / trial_id) if t == f"ray/tune/{tag}"]
    assert len(dict(points)) == len(points)
    return dict(points)


def check_shown(folder: Path, trials: Any, epochs: Any) -> None:
    """TensorBoard, MLflow and W&B hold what the tables do."""
    in_mlflow = runs(folder, folder.name)
    assert sorted(in_mlflow) == list(trials.trial_id)
    for trial in trials.to_dict("records"):
        rows = epochs[epochs.trial_id == trial["trial_id"]]
        losses: Mapping[int, float] = dict(zip(rows.epoch, rows["loss.total"], strict=True))
        assert scalars(folder / "tensorboard", trial["trial_id"], "loss.total") == pytest.approx(
            losses, rel=1e-6
        )
        run_, client = in_mlflow[trial["trial_id"]]
        points = client.get_metric_history(run_.info.run_id, "val.fused.accuracy")
        wanted = dict(zip(rows.epoch, rows["val.fused.accuracy"], strict=True))
        assert {p.step: p.value for p in points} == wanted
        assert run_.data.tags["status"] == trial["status"]
        assert run_.data.params["distill.temperature"] == str(trial["distill.temperature"])
        [offline] = (folder / "wandb").glob(f"offline-run-*-{trial['trial_id']}-*/*.wandb")
        history, config = wandb_history(offline)
        shown_losses = [(h["training_iteration"], h["loss.total"]) for h in history if "lr" in h]
        assert shown_losses == [*losses.items()]
        assert config["status"] == trial["status"]
        assert config["fusion.design"] == trial["fusion.design"]


@pytest.mark.ray
@pytest.mark.skipif(
    "FFL_RAY_TEST_SLOW" not in os.environ, reason="a minute: FFL_RAY_TEST_SLOW=1 runs it"
)
def test_a_search_over_own_code_is_shown_by_all_three_and_a_key_is_nowhere(tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    space.write_text(
        "BASE = {'data.name': 'data:bars', 'data.fraction': 0.3, 'data.val_fraction': 0.2,\n"
        "        'model.mix': '2*backbone:tiny', 'model.trunk_stages': 1, 'optim.epochs': 3,\n"
        "        'distill.method': 'method:fused_first', 'optim.batch_size': 8,\n"
        "        'search.plain_baseline': False}\n"
        "WILD = {'optim.lr': 100.0, 'optim.weight_decay': 1.0, 'optim.fusion_weight_decay': 1.0}\n"
        "def search_space(trial):\n"
        "    trial.suggest_float('distill.temperature', 1, 4)\n"
        "    trial.suggest_categorical('fusion.design', ['fusion:Maximum'])\n"
        "    return WILD if trial.number == 1 else {}\n"
    )
    place = ["--storage-path", str(tmp_path), "--name", "study", "--num-samples", "2"]
    track = [word for name in TRACKERS for word in ("--track", name)]
    examples = ROOT / "examples" / "extending"

    # The path of a socket has at most 107 letters.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ray-") as logs:
        done = run(
            "tune", str(space), *place, *track, cwd=examples,
            WANDB_MODE="offline", WANDB_API_KEY=KEY, RAY_TMPDIR=logs,
        )  # fmt: skip
        written = [
            path for path in (*tmp_path.rglob("*"), *Path(logs).rglob("*")) if path.is_file()
        ]
        assert any("runtime_env" in path.name for path in written)
        told = [path for path in written if KEY.encode() in path.read_bytes()]

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in ("tensorboard --logdir", "mlflow ui --backend-store-uri", "wandb sync"):
        assert words in done.stdout, done.stdout
    trials, epochs, _ = ffl_ray.results.load("study", str(tmp_path))
    assert list(trials.status) == ["completed", "failed"]
    assert list(trials["fusion.design"]) == ["fusion:Maximum"] * 2
    assert list(trials["data.name"]) == ["data:bars"] * 2
    check_shown(tmp_path / "study", trials, epochs)
    assert told == []


@pytest.mark.ray
@pytest.mark.skipif(
    "FFL_RAY_TEST_SLOW" not in os.environ, reason="two minutes: FFL_RAY_TEST_SLOW=1 runs it"
)
def test_trials_of_two_workers_are_shown_alike(tmp_path: Path) -> None:
    sets = ["data.val_fraction=0.2", "optim.epochs=2", "optim.batch_size=64", "data.fraction=0.5"]
    options = [word for setting in sets for word in ("--set", setting)]
    options += ["--storage-path", str(tmp_path), "--name", "study", "--num-samples", "1"]
    track = [word for name in TRACKERS for word in ("--track", name)]

    done = run("tune", *options, *track, "--num-workers", "2", timeout_s=400, WANDB_MODE="offline")

    assert done.returncode == 0, done.stderr
    trials, epochs, _ = ffl_ray.results.load("study", str(tmp_path))
    check_shown(tmp_path / "study", trials, epochs)
