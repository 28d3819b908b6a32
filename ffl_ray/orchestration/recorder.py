"""The recorder of a study: what Tune's driver hears of its trials becomes rows and a view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ray import cloudpickle
from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.console.view import View
from ffl_ray.files import read_own
from ffl_ray.orchestration.failures import FAILURE, first_cause
from ffl_ray.orchestration.placement_groups import free_workers
from ffl_ray.orchestration.ray_private import allow_failures, error_file, has_retry_left
from ffl_ray.orchestration.scheduler import StudyScheduler
from ffl_ray.orchestration.stop_asked import StopAsked
from ffl_ray.results.columns import AUDITED
from ffl_ray.results.steering import Steering
from ffl_ray.results.storage.retry import may_pass, storage_is_full
from ffl_ray.results.study import StudyTables
from ffl_ray.training.session import Report

NO_ERROR = ("Unknown", "Tune ended the trial without saying why; see the log")


class Retention(Protocol):
    """What deletes the checkpoints that nobody needs; see `CheckpointRetention`."""

    def refresh(self) -> None:
        """See what is really there."""
        ...

    def expect(self, trial_id: str) -> None:
        """A trial begins, and will write checkpoints."""
        ...

    def apply(self, rows: Iterable[dict[str, Any]]) -> None:
        """Delete what the study's trials, with these rows, need no more."""
        ...


class Obstacle(Stopper):
    """What is in the way of every trial, and ends the study: a full or lost storage, no test split.

    Attributes:
        message: what it is; empty while nothing is in the way.
        storage_is_gone: whether the storage has not answered for longer than anybody waits.
    """

    def __init__(self) -> None:
        self.message = ""
        self.storage_is_gone = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return bool(self.message)

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Pass over a write that found no room, or no storage in time, and remember it."""
        try:
            yield
        except OSError as error:
            self.storage_is_gone = may_pass(error)
            if not storage_is_full(error) and not self.storage_is_gone:
                raise
            self.message = str(error)


class Recorder(Callback):
    """Tune's callback on the driver: the one writer of the study's tables.

    Args:
        tables: of the study.
        retention: of its checkpoints.
        scheduler: knows which trials were stopped for being weak.
        optuna_columns: of a trial number.
        view: is told what is written.
        columns: resources of every trial, as columns of the trials table.
        max_failures: how often a trial is started again without an epoch in between.

    Attributes:
        stop_asked: ends the study where somebody asks for it in its folder.
        lost: trials that Tune gave up though they may be started again.
    """

    def __init__(
        self,
        tables: StudyTables,
        retention: Retention,
        scheduler: StudyScheduler,
        optuna_columns: Callable[[int], dict[str, str]],
        view: View,
        columns: dict[str, Any],
        max_failures: int,
    ) -> None:
        self._tables = tables
        self._retention = retention
        self._scheduler = scheduler
        self._optuna_columns = optuna_columns
        self._view = view
        self._columns = columns
        self._max_failures = max_failures
        self.obstacle = Obstacle()
        self.stop_asked = StopAsked(Steering(tables.storage.location))
        self.lost: set[str] = set()
        self._open: set[str] = set()
        self._ended: set[str] = set()
        self._failures: dict[str, tuple[str, str]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles callbacks into its own state, which is never used here."""
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._begin(trial)

    def _begin(self, trial: Trial) -> None:
        trial_id = trial.config["trial_id"]
        config = with_overrides(Config(), trial.config["settings"])
        with self.obstacle.noticed():
            self._tables.start(
                trial_id, config, **self._optuna_columns(int(trial_id)), **self._columns
            )
        self._retention.expect(trial_id)
        self._open.add(trial_id)
        self._view.trial_started(trial_id, config)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        trial_id = trial.config["trial_id"]
        if FAILURE in result:
            self._failures[trial_id] = result[FAILURE]["error"]
            if result[FAILURE]["ends_study"]:
                self.obstacle.message = result[FAILURE]["error"][1]
        report: Report | None = result.get("report")
        if report is None:
            return
        if result["epoch"] > (self._tables.trials[trial_id]["epochs_done"] or 0):
            allow_failures(trial, self._max_failures)
        with self.obstacle.noticed():
            self._tables.epoch(trial_id, *report)
            self._note_audit(trial_id)
        self._view.epoch_finished(trial_id, report.row)
        # Tune keeps and writes what stays in it; the searcher reads the members at the end.
        result["report"] = report._replace(row={}, best=[], predictions=(), classes=())

    def _note_audit(self, trial_id: str) -> None:
        """Write down, once, that the scheduler let pass what its rule would have stopped."""
        columns = self._scheduler.audited(trial_id)
        if columns and self._tables.trials[trial_id].get(AUDITED) is None:
            self._tables.trials.update(trial_id, **columns)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Tune's loop came round; it does so many times a second."""
        with self.obstacle.noticed():
            self._tables.settle()

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        trial_id = trial.config["trial_id"]
        trial.last_result.pop("report", None)
        if trial_id not in self._open:
            return
        failure = self._failures.pop(trial_id, None)
        stopped = trial.trial_id in self._scheduler.stopped
        done = self._tables.trials[trial_id]
        if failure is not None:
            self._end(trial, "interrupted" if self.obstacle.message else "failed", failure)
        elif stopped:
            self._end(trial, "pruned")
        elif done["epochs_done"] == done["epochs_planned"]:
            self._end(trial, "completed")
        else:
            self._end(trial, "interrupted")

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._begin_unless_open(trial)
        free_workers(trial.config)
        with self.obstacle.noticed():
            self._tables.errored(trial.config["trial_id"], error_of(trial) or NO_ERROR)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        if has_retry_left(trial):
            self._lose(trial)
            return
        self._begin_unless_open(trial)
        self._end(trial, "failed", error_of(trial) or NO_ERROR)

    def _lose(self, trial: Trial) -> None:
        """Tune retries a trial whose process died while it trained, but none that died before it.

        So it gives up a trial whose process is killed between two trials, or while it starts. It
        stays as it is in the tables, like one of a driver that was killed, and may go on.
        """
        trial_id = trial.config["trial_id"]
        self.lost.add(trial_id)
        self._ended.add(trial_id)
        if trial_id in self._open:
            self._open.discard(trial_id)
            free_workers(trial.config)
            with self.obstacle.noticed():
                self._tables.end(trial_id, "interrupted", error_of(trial) or NO_ERROR)

    def _begin_unless_open(self, trial: Trial) -> None:
        """A trial whose actor could not even be started fails without having begun."""
        if trial.config["trial_id"] not in self._open:
            self._begin(trial)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Trials that no other hook ended: out of time, interrupted, or failed in passing."""
        for trial in trials:
            trial_id = trial.config["trial_id"]
            if trial.status == Trial.ERROR and trial_id not in self._ended:
                self._begin_unless_open(trial)
                self._end(trial, "failed", error_of(trial) or NO_ERROR)
            elif trial_id in self._open:
                self._end(trial, "interrupted")
        with self.obstacle.noticed():
            self._retention.refresh()
            self._retention.apply(self._tables.trials.rows)

    def _end(self, trial: Trial, status: str, error: tuple[str, str] | None = None) -> None:
        trial_id = trial.config["trial_id"]
        self._open.discard(trial_id)
        self._ended.add(trial_id)
        free_workers(trial.config)
        with self.obstacle.noticed():
            self._tables.end(trial_id, status, error, **self._optuna_columns(int(trial_id)))
            self._retention.apply(self._tables.trials.rows)
        self._view.trial_ended(trial_id, status, self._tables.trials[trial_id])


def error_of(trial: Trial) -> tuple[str, str] | None:
    """Class name and message of a trial's latest failure.

    Read from the driver's own copy: the one in storage may not have arrived when a hook fires. It
    is unpickled, which runs what stands there, and Ray's folders are open to every user.
    """
    path = error_file(trial)
    data = read_own(path) if path else None
    if data is None:
        return None
    cause = first_cause(cloudpickle.loads(data))
    return type(cause).__name__, str(cause)
