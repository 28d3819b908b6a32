"""Final runs on Ray, a list of trainings with their tests: what `confirm` and `reproduce` share.

Each trains on train and val together and is measured on the test split at its end. They run as
the trials of a search do, write the same tables, and go on like one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.settings import ResolvedConfig, SearchConfig
from ffl_ray.console.live import StudyView
from ffl_ray.console.plain_text import printable_line
from ffl_ray.console.terminal import make_console, say
from ffl_ray.data.facts import DataFacts
from ffl_ray.errors import FAILED, INTERRUPTED, StudyError
from ffl_ray.orchestration.final_run import FinalRun, waiting_runs
from ffl_ray.orchestration.fixed import FixedRuns
from ffl_ray.orchestration.job import Job
from ffl_ray.orchestration.live_run import live_run
from ffl_ray.orchestration.outcome import how_many
from ffl_ray.orchestration.ray_setup import ray_state
from ffl_ray.orchestration.recorder import Recorder
from ffl_ray.orchestration.remote import trial_cluster
from ffl_ray.orchestration.retention import CheckpointRetention, latest_of_runs
from ffl_ray.orchestration.scheduler import StudyScheduler
from ffl_ray.orchestration.tuner import make_tuner, run_rounds
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.preflight import repeatedly_measured
from ffl_ray.results.columns import ENDED
from ffl_ray.results.study import StudyTables

NEVER_SHOWN = parse_objective("ensemble.accuracy")


def run_final_runs(
    tables: StudyTables,
    runs: Sequence[FinalRun],
    search: SearchConfig,
    plan: Plan,
    *,
    title: str,
    again: str,
    keep: Collection[str] = (),
) -> int:
    """Train what is not completed yet, on the Ray that `start` started.

    A completed run is never run again, and its test never repeated; an interrupted one goes on
    after its last epoch; a failed one begins again.

    Args:
        tables: of the study, opened with the command's own description and no objective.
        runs: all of them, in the order in which they are to be trained.
        search: its max_failures counts, and nothing of samplers and schedulers.
        again: the command that goes on, in words.
        keep: ids of the runs whose last checkpoint stays.

    Returns:
        The exit status: 0 when all are completed, INTERRUPTED, or FAILED.

    Raises:
        StudyError: no run could go on: the storage is full, or there is no test split.
    """
    waiting = waiting_runs(tables, runs)
    retention = CheckpointRetention(tables.storage, latest_of_runs(keep))
    retention.apply(tables.trials.rows)
    if not waiting:
        return 0
    view = view_of(tables, runs, title)
    jobs, started = [_job(run, tables, plan) for run in waiting], time.monotonic()
    with live_run(tables.storage, again):
        message = _train(tables, jobs, search, plan, retention, view)
    return _ended(tables, runs, message, again, time.monotonic() - started)


def view_of(tables: StudyTables, runs: Sequence[FinalRun], title: str) -> StudyView:
    """What is shown of some runs; of a race's round, of that alone."""
    labels = {run.run_id: run.label for run in runs}
    rows = [row for row in tables.trials.rows if row["trial_id"] in labels]
    kept = [row for row in rows if row["status"] != "failed"]  # those that failed begin again
    return StudyView(make_console(), title, len(runs), NEVER_SHOWN, kept, labels)


def _train(
    tables: StudyTables,
    jobs: list[dict[str, Any]],
    search: SearchConfig,
    plan: Plan,
    retention: CheckpointRetention,
    view: StudyView,
) -> str:
    """Run Tune for all jobs, and again for those that it lost; returns what is in the way."""
    attempts = {row["trial_id"]: row["attempt"] for row in tables.trials.rows}
    left = {job["trial_id"] for job in jobs}

    def unended() -> int:
        """Those that failed in an earlier command, and are not begun again, are left too."""
        ended = (
            row["trial_id"]
            for row in tables.trials.rows
            if row["status"] in ENDED and row["attempt"] != attempts.get(row["trial_id"])
        )
        return len(left.difference(ended))

    def fit(state: str) -> Recorder:
        scheduler = StudyScheduler()
        recorder = Recorder(
            tables, retention, scheduler, lambda _: {}, view, plan.columns(), search.max_failures
        )
        make_tuner(plan, search, state, len(jobs), FixedRuns(jobs), scheduler, recorder).fit()
        jobs[:] = [job for job in jobs if job["trial_id"] in recorder.lost]
        return recorder

    with view, ray_state() as state:
        recorder = run_rounds(lambda: fit(state), unended, search.max_failures)
    return recorder.obstacle.message


def _job(run: FinalRun, tables: StudyTables, plan: Plan) -> dict[str, Any]:
    location = tables.storage.location
    return Job.planned(run.run_id, run.config, location, plan, final=True)._asdict()


def _ended(
    tables: StudyTables, runs: Sequence[FinalRun], message: str, again: str, elapsed_s: float
) -> int:
    """Say how the runs ended."""
    if message:
        raise StudyError(
            f"{tables.storage.location} can't go on: {message}. Nothing that was finished is "
            f"lost: mend it, and give {again}"
        )
    ids = {run.run_id for run in runs}
    rows = [row for row in tables.trials.rows if row["trial_id"] in ids]
    counts = Counter(row["status"] for row in rows)
    states = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    console = make_console()
    say(console, f"\n{how_many(rows, 'runs', elapsed_s)}: {states}\n")
    for row in rows:
        if row["status"] == "failed":
            error = printable_line(f"{row['error_type']}: {row['error']}")
            say(console, f"{row['trial_id']} failed: {error}")
    if counts["completed"] == len(runs):
        return 0
    if counts["completed"] + counts["failed"] < len(runs):
        console.out(f"to go on: {again}")
        return INTERRUPTED
    return FAILED


def epoch_seconds(
    configs: Sequence[ResolvedConfig], plan: Plan, facts: DataFacts, *, cluster: bool
) -> list[float] | None:
    """Seconds that an epoch of each config takes, measured on real steps where trials will run.

    Args:
        facts: of the data of final runs, which train on all images.
        cluster: Ray was joined at an address.

    Returns:
        None when no machine was free to measure on.
    """
    place = trial_cluster(plan, joined=cluster)
    per_image = repeatedly_measured(configs, plan, facts, place)
    if per_image is None:
        return None
    return [facts.num_train * seconds / plan.num_workers for seconds in per_image]
