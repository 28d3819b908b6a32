"""The driver's own objects, opened on a study and fed with the events of made trials."""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from ray.tune.experiment import Trial
from rich.console import Console

from benchmarks.made_study import epochs_table, member_rows, rows_of
from benchmarks.stress.scaling.filled import NAME, Setting
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.console.live import StudyView
from ffl_ray.orchestration.job import Job, report_metrics
from ffl_ray.orchestration.recorder import Recorder
from ffl_ray.orchestration.retention import CheckpointRetention, best_of_search
from ffl_ray.orchestration.scheduler import StudyScheduler, make_scheduler
from ffl_ray.planning.layout import Plan
from ffl_ray.results.history import PastTrial, past_trials
from ffl_ray.results.reader import objective_by_epoch
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.search.searcher import StudySearcher
from ffl_ray.training.session import Report

Result = TypeVar("Result")
Seconds = dict[str, list[float]]
AT_ONCE = 8
NO_CONTROLLER: Any = None  # our schedulers ask nothing of it
PLAN = Plan(AT_ONCE, 1, 1, 0)


class Driver(NamedTuple):
    """What `ffl_ray.tune` makes before it hands over to Tune."""

    tables: StudyTables
    searcher: StudySearcher
    scheduler: StudyScheduler
    retention: CheckpointRetention
    view: StudyView
    recorder: Recorder
    given: Setting


def open_driver(storage: Storage, given: Setting) -> tuple[Driver, dict[str, float]]:
    """The driver's objects on a study that goes on, and the seconds that each took to open."""
    taken: Seconds = defaultdict(list)
    objectives, search = given.study.objectives, given.study.search
    pruned_by = given.study.pruning_objective
    tables = timed(taken, "tables", lambda: StudyTables(storage, NAME, objectives))
    past = timed(
        taken, "past", lambda: past_trials(tables.trials.rows, objective_by_epoch(storage))
    )
    searcher = timed(taken, "searcher", lambda: _open_searcher(storage, given, past))
    scheduler = timed(
        taken,
        "scheduler",
        lambda: make_scheduler(search, pruned_by, given.study.optim.epochs, past),
    )
    retention = CheckpointRetention(storage, best_of_search(objectives, search.keep_checkpoints))
    timed(taken, "retention", lambda: retention.apply(tables.trials.rows))
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    view = StudyView(console, NAME, search.num_samples, pruned_by, [*tables.trials.rows])
    recorder = Recorder(
        tables,
        retention,
        scheduler,
        searcher.optuna_columns,
        view,
        PLAN.columns(),
        search.max_failures,
    )
    made = Driver(tables, searcher, scheduler, retention, view, recorder, given)
    return made, {name: values[0] for name, values in taken.items()}


def _open_searcher(storage: Storage, given: Setting, past: list[PastTrial]) -> StudySearcher:
    def job(trial_id: str, config: ResolvedConfig) -> dict[str, Any]:
        return Job.planned(trial_id, config, storage.location, PLAN)._asdict()

    study = given.study
    return StudySearcher(
        given.space, study.training, study.search, study.objectives, past=past, make_job=job
    )


def feed(driver: Driver, first: int, trials: int) -> Seconds:
    """Let trials begin, report and end, `AT_ONCE` by turns; the seconds of every call, by part."""
    taken: Seconds = defaultdict(list)
    for start in range(first, first + trials, AT_ONCE):
        count = min(AT_ONCE, first + trials - start)
        made = [_begin(driver, taken) for _ in range(count)]
        running = {trial.config["trial_id"]: trial for trial in made}
        for trial_id, row in _reports(start, count, driver.given.study.optim.epochs):
            if trial_id in running and _report(driver, running[trial_id], row, taken) == "STOP":
                _end(driver, running.pop(trial_id), row, taken)
        for trial in running.values():
            _end(driver, trial, trial.last, taken)
        timed(taken, "view", driver.view.__rich__)
    return taken


def _begin(driver: Driver, taken: Seconds) -> Any:
    trial: Any = Trial("made", stub=True)
    job = timed(taken, "ask", lambda: driver.searcher.suggest(trial.trial_id))
    trial.config = job
    driver.scheduler.on_trial_add(NO_CONTROLLER, trial)
    timed(taken, "start", lambda: driver.recorder.on_trial_start(0, [], trial))
    return trial


def _report(driver: Driver, trial: Any, row: dict[str, Any], taken: Seconds) -> str:
    members = member_rows(int(trial.config["trial_id"]), row["epoch"])
    result = report_metrics(Report(row, members, members)) | {"training_iteration": 1}
    trial.last = row
    timed(taken, "searcher", lambda: driver.searcher.on_trial_result(trial.trial_id, result))
    decision = timed(
        taken, "scheduler", lambda: driver.scheduler.on_trial_result(NO_CONTROLLER, trial, result)
    )
    timed(taken, "recorder", lambda: driver.recorder.on_trial_result(0, [], trial, result))
    return str(decision)


def _end(driver: Driver, trial: Any, row: dict[str, Any], taken: Seconds) -> None:
    members = member_rows(int(trial.config["trial_id"]), row["epoch"])
    result = report_metrics(Report(row, members, members))
    driver.scheduler.on_trial_complete(NO_CONTROLLER, trial, result)
    timed(taken, "tell", lambda: driver.searcher.on_trial_complete(trial.trial_id, result))
    timed(taken, "end", lambda: driver.recorder.on_trial_complete(0, [], trial))


def _reports(first: int, trials: int, epochs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in epochs_table(rows_of(first, trials, epochs)).to_pylist():
        trial_id = row["trial_id"]
        yield trial_id, {n: v for n, v in row.items() if n not in ("study", "trial_id", "attempt")}


def timed(taken: Seconds, name: str, call: Callable[[], Result]) -> Result:
    """What a call gives; the seconds it took are put down under a name."""
    started = time.perf_counter()
    result = call()
    taken[name].append(time.perf_counter() - started)
    return result
