"""TensorBoard, MLflow, W&B and Trackio beside a search: what the real packages wrote, read back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.helpers import ROOT
from support.tracked import events, runs, trackio_history, wandb_history

from ffl_ray.config.extras import is_installed
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.errors import SettingError
from ffl_ray.results.storage.storage import Storage
from ffl_ray.trackers.tracker import END_S, Place, Tracker
from ffl_ray.trackers.trackers import TRACKERS, check_trackers
from ffl_ray.trackers.tracking import Tracking, numbers, tracking_folder

ROW = {"epoch": 1, "lr": 0.1, "loss.ce_branches": [1.5, 2.5], "loss.ce_fused": None, "time": "now"}
# SQLAlchemy's word to MLflow's authors.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


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
    with pytest.raises(SettingError, match="track must be 'tensorboard', .* or 'trackio', not"):
        with_overrides(SearchConfig(), {"track": "comet"})
    for name, tracker in TRACKERS.items():
        monkeypatch.setitem(sys.modules, tracker.module, None)
        with pytest.raises(SettingError, match=rf"search.track {name} needs .*\[{tracker.extra}\]"):
            check_trackers([name])


def test_a_folder_of_a_trackers_name_is_not_the_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B writes into ./wandb, which Python takes for a package where no other has the name."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name, tracker in TRACKERS.items():
        (tmp_path / tracker.module).mkdir()
        monkeypatch.delitem(sys.modules, tracker.module, raising=False)
        with pytest.raises(SettingError, match=rf"search.track {name} needs .*\[{tracker.extra}\]"):
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

    assert "without it" not in " ".join([*first.lines, *second.lines])
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

    assert "without it" not in " ".join(told.lines)
    [path] = (tmp_path / "wandb").glob("offline-run-*-00000-0a/*.wandb")
    history, config = wandb_history(path)
    assert [(h["training_iteration"], h["lr"]) for h in history] == [
        (epoch, 0.1 / epoch) for epoch in (1, 2, 3)
    ]
    assert (config["status"], config["model.mix"]) == ("pruned", "2*resnet20")


@pytest.mark.parametrize("elsewhere", [False, True], ids=["the study's", "the user's own folder"])
def test_a_trial_that_goes_on_goes_on_in_its_run_of_trackio(
    elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_installed("trackio"):
        pytest.skip("trackio is not installed")
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    folder = tmp_path / "trackio"
    if elsewhere:
        folder = tmp_path / "mine"
        monkeypatch.setenv("TRACKIO_DIR", str(folder))
    place = Place("my-study", tmp_path, "0a")

    first = shown(("trackio",), place, range(1, 3), status="interrupted")
    second = shown(("trackio",), place, range(2, 5), done=2)

    assert "without it" not in " ".join([*first.lines, *second.lines])
    assert f"trackio show --project {place.study}" in second.lines[0]
    history, configs = trackio_history(folder / "my-study.db")
    name = "00000-0a" if elsewhere else "00000"
    assert history == {name: [(n, 0.1 / n, 1.5) for n in range(1, 5)]}
    assert configs[name]["model.mix"] == "2*resnet20"


def test_a_process_of_wandb_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "nonsense")

    told = shown(("wandb",), Place("mine", tmp_path, "0a"), range(1, 3))

    assert "nonsense" in told.lines[0]


def test_a_server_that_is_gone_is_said_once_and_costs_the_study_no_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place("mine", tmp_path, "0a", "http://user:secret@127.0.0.1:9")
    asked, told = threading.Event(), threading.Event()
    make = TRACKERS["mlflow"].make

    def late(place: Place) -> Tracker:
        """The tracker, once the study has told it all: nobody there waits for it."""
        asked.set()
        assert told.wait(60)
        return make(place)

    monkeypatch.setitem(TRACKERS, "mlflow", TRACKERS["mlflow"]._replace(make=late))
    with Tracking(["mlflow"], place, {}, lambda number: "{}") as tracking:
        assert asked.wait(60)
        tracking.trial_started("00000", Config())
        for epoch in range(1, 50):
            tracking.epoch_finished("00000", ROW | {"epoch": epoch})
        told.set()
        ends = time.monotonic()

    assert time.monotonic() - ends < 2 * END_S
    assert [record.name for record in caplog.records].count("ffl_ray.tracking") == 1
    assert tracking.lines[0].startswith("mlflow: ")
    assert "the study itself is complete" in tracking.lines[0]
    assert "secret" not in tracking.lines[0] + caplog.text


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    place = Place("mine", tmp_path / "a file", "0a")
    place.folder.write_text("in the way")

    tracking = shown(("tensorboard",), place, range(1, 4))

    assert "NotADirectoryError" in tracking.lines[0]
