"""Which failures add up to a trial's end, by Tune's own count."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.train._internal.storage import StorageContext
from ray.tune.experiment import Trial

from ffl_ray.config.methods import resolved
from ffl_ray.config.objectives import VALUE
from ffl_ray.config.settings import Config
from ffl_ray.orchestration.job import Job, report_metrics
from ffl_ray.orchestration.recorder import Recorder
from ffl_ray.orchestration.scheduler import StudyScheduler
from ffl_ray.planning.layout import Plan
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.training.session import Report

MAX_FAILURES = 2


class Watched:
    """A view and a retention that take what they are told."""

    def trial_started(self, trial_id: str, config: Config) -> None: ...
    def epoch_finished(self, trial_id: str, row: dict[str, Any]) -> None: ...
    def trial_ended(self, trial_id: str, status: str, row: dict[str, Any]) -> None: ...
    def refresh(self) -> None: ...
    def expect(self, trial_id: str) -> None: ...
    def apply(self, rows: object) -> None: ...


class Running:
    """A trial of Tune with its recorder, which is told what Tune would tell it."""

    def __init__(self, folder: Path) -> None:
        tables = StudyTables(Storage(str(folder)), "study")
        told = Watched()
        self.recorder = Recorder(
            tables, told, StudyScheduler(), lambda _: {}, told, {}, MAX_FAILURES
        )
        job = Job.planned("00000", resolved(Config()), str(folder), Plan(1, 1, 1, 0.0))
        self.trial = Trial(
            "train_in_actor",
            stub=True,
            config=job._asdict(),
            max_failures=MAX_FAILURES,
            storage=StorageContext(str(folder), "ray"),
        )
        self.trial.init_local_path()  # type: ignore[no-untyped-call]
        self.recorder.on_trial_start(0, [self.trial], self.trial)

    def epoch(self, number: int) -> None:
        row = {"epoch": number, "time": datetime.now(UTC), VALUE: 0.5, "best_epoch": number}
        result = report_metrics(Report(row, [], []))
        self.recorder.on_trial_result(0, [self.trial], self.trial, result)

    def fails(self) -> bool:
        """Lose the actor; whether Tune starts the trial again."""
        self.trial.handle_error(RayActorError())
        return bool(self.trial.should_recover())  # type: ignore[no-untyped-call]


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    # Tune writes a trial's errors under Ray's session, and there is none.
    session = "ray.train._internal.storage._get_ray_train_session_dir"
    monkeypatch.setattr(session, lambda: str(tmp_path / "session"))
    return Running(tmp_path)


def test_failures_in_a_row_end_a_trial(running: Running) -> None:
    assert [running.fails() for _ in range(3)] == [True, True, False]


def test_a_trial_that_finishes_an_epoch_between_its_failures_goes_on_for_ever(
    running: Running,
) -> None:
    for epoch in range(1, 11):
        running.epoch(epoch)
        assert running.fails()
        assert running.fails()

    assert not running.fails()


def test_an_epoch_that_is_only_reported_again_is_no_progress(running: Running) -> None:
    running.epoch(1)
    survived = []
    for _ in range(3):
        survived.append(running.fails())
        running.epoch(1)

    assert survived == [True, True, False]
