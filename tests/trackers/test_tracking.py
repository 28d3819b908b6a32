"""TensorBoard, MLflow and W&B beside a search: what the real packages wrote, read back."""

from __future__ import annotations

import importlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.helpers import ROOT, run

import ffl_ray.results
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.errors import SettingError
from ffl_ray.results.storage.storage import Storage
from ffl_ray.trackers.tracker import END_S, Place
from ffl_ray.trackers.trackers import TRACKERS, check_trackers
from ffl_ray.trackers.tracking import Tracking, numbers, tracking_folder

KEY = "0123456789abcdef0123456789abcdef01234567"
ROW = {"epoch": 1, "lr": 0.1, "loss.ce_branches": [1.5, 2.5], "loss.ce_fused": None, "time": "now"}
# SQLAlchemy's word to MLflow's authors.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


def events(folder: Path) -> list[tuple[int, str, float]]:
    """Step, tag and value of every scalar in TensorBoard's event files of a trial."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            found += [
                (event.step, value.tag, value.simple_value)
                for value in event.summary.value
                if value.WhichOneof("value") == "simple_value"
            ]
    return found


def runs(folder: Path, experiment: str) -> dict[str, tuple[Any, Any]]:
    """MLflow's runs of an experiment by name, each with a client that reads it."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    [found] = client.search_experiments(filter_string=f"name = '{experiment}'")
    listed = client.search_runs([found.experiment_id])
    assert len({run.info.run_name for run in listed}) == len(listed)
    return {run.info.run_name: (run, client) for run in listed}


def wandb_records(path: Path) -> Iterator[Any]:
    """The records of an offline run: LevelDB's log format behind seven bytes."""
    messages: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield messages.Record.FromString(whole)
            whole = b""


def wandb_history(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What an offline run logged, and its config."""
    history: list[dict[str, Any]] = []
    config: dict[str, Any] = {}
    for record in wandb_records(path):
        updates = [*record.run.config.update, *record.config.update]
        config |= {u.key or "/".join(u.nested_key): json.loads(u.value_json) for u in updates}
        items = record.history.item
        if items:
            history.append(
                {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items}
            )
    return history, config


def shown(
    names: tuple[str, ...], place: Place, epochs: range, *, done: int = 0, status: str = "completed"
) -> Tracking:
    """One trial, shown by trackers as the recorder would tell them."""
    config = with_overrides(Config(), {"model.mix": "2*resnet20"})
    tracking = Tracking(names, place, {"00000": done}, lambda number: '{"num_branches": 2}')
    with tracking:
        tracking.trial_started("00000", config)
        for epoch in epochs:
            tracking.epoch_finished("00000", ROW | {"epoch": epoch, "lr": 0.1 / epoch})
        tracking.trial_ended("00000", status, {})
    return tracking


def test_an_epochs_numbers_have_the_names_of_the_table_and_a_branch_its_own() -> None:
    assert numbers(ROW) == {"lr": 0.1, "loss.ce_branches.0": 1.5, "loss.ce_branches.1": 2.5}


def test_a_study_on_object_storage_is_tracked_in_a_folder_here() -> None:
    assert tracking_folder(Storage("mock://bucket/studies/mine")) == Path.cwd() / "mine.tracking"


@pytest.mark.parametrize(
    "given", ["tensorboard,mlflow", "mlflow + tensorboard", ["mlflow"], "none"]
)
def test_trackers_are_given_as_words(given: object) -> None:
    track = with_overrides(SearchConfig(), {"track": given}).track

    assert set(track) <= {"tensorboard", "mlflow"}
    assert bool(track) == (given != "none")


def test_what_is_not_known_or_not_installed_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingError, match="track must be 'tensorboard', 'mlflow' or 'wandb', not"):
        with_overrides(SearchConfig(), {"track": "comet"})
    for name, tracker in TRACKERS.items():
        monkeypatch.setitem(sys.modules, tracker.module, None)
        with pytest.raises(SettingError, match=rf"search.track {name} needs .*ffl_ray\[tracking\]"):
            check_trackers([name])


def test_wandb_wants_a_key_or_to_be_offline(tmp_path: Path) -> None:
    code = "from ffl_ray.trackers.trackers import check_trackers as c; c(['wandb'])"
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    quiet |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none"), "PYTHONPATH": str(ROOT)}

    def checked(**environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, env=quiet | environment, capture_output=True, text=True, check=False
        )

    assert "needs an API key (`wandb login`" in checked().stderr
    assert checked(WANDB_MODE="offline").returncode == 0


def test_a_trial_that_goes_on_goes_on_in_its_run_and_no_epoch_is_shown_twice(
    tmp_path: Path,
) -> None:
    place, names = Place("mine", tmp_path, "0a"), ("tensorboard", "mlflow")

    first = shown(names, place, range(1, 3), status="interrupted")
    [(run, _)] = runs(tmp_path, "mine").values()
    interrupted = run.info.status
    second = shown(names, place, range(2, 5), done=2)

    assert [problem for t in (first, second) for problem in t.problems.values()] == [""] * 4
    assert interrupted == "KILLED"
    [(run, client)] = runs(tmp_path, "mine").values()
    assert (run.info.run_name, run.info.status) == ("00000", "FINISHED")
    assert run.data.tags["status"] == "completed"
    assert run.data.params["model.mix"] == "2*resnet20"
    assert run.data.params["num_branches"] == "2"
    assert set(run.data.metrics) == {"lr", "loss.ce_branches.0", "loss.ce_branches.1"}
    history = client.get_metric_history(run.info.run_id, "lr")
    assert sorted((m.step, m.value) for m in history) == [(n, 0.1 / n) for n in range(1, 5)]
    points = [(step, tag) for step, tag, _ in events(tmp_path / "tensorboard" / "00000")]
    assert [step for step, tag in points if tag == "ray/tune/lr"] == [1, 2, 3, 4]


def test_a_run_of_wandb_holds_each_epoch_and_how_the_trial_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")

    told = shown(("wandb",), Place("mine", tmp_path, "0a"), range(1, 4), status="pruned")

    assert told.problems == {"wandb": ""}
    [path] = (tmp_path / "wandb").glob("offline-run-*-00000-0a/*.wandb")
    history, config = wandb_history(path)
    assert [(h["training_iteration"], h["lr"]) for h in history] == [
        (epoch, 0.1 / epoch) for epoch in (1, 2, 3)
    ]
    assert (config["status"], config["model.mix"]) == ("pruned", "2*resnet20")


def test_a_process_of_wandb_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "nonsense")

    told = shown(("wandb",), Place("mine", tmp_path, "0a"), range(1, 3))

    assert "nonsense" in told.problems["wandb"]


def test_a_server_that_is_gone_is_said_once_and_costs_the_study_no_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place("mine", tmp_path, "0a", "http://user:secret@127.0.0.1:9")
    started = time.monotonic()

    with Tracking(["mlflow"], place, {}, lambda number: "{}") as tracking:
        tracking.trial_started("00000", Config())
        for epoch in range(1, 50):
            tracking.epoch_finished("00000", ROW | {"epoch": epoch})
        told = time.monotonic() - started

    assert told < 1
    assert time.monotonic() - started < END_S + 5
    assert [record.name for record in caplog.records].count("ffl_ray.tracking") == 1
    assert tracking.lines[0].startswith("mlflow: ")
    assert "the study itself is complete" in tracking.lines[0]
    assert "secret" not in tracking.lines[0] + caplog.text


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    place = Place("mine", tmp_path / "a file", "0a")
    place.folder.write_text("in the way")

    tracking = shown(("tensorboard",), place, range(1, 4))

    assert "NotADirectoryError" in tracking.lines[0]


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
        "        'distill.method': 'method:fused_first', 'optim.batch_size': 8}\n"
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
