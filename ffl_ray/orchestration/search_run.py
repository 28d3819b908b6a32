"""A search on Ray, from its plan to the tables: what `python -m ffl_ray.tune` runs once it may."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ffl_ray.config.overrides import flatten, settings
from ffl_ray.config.settings import StudyConfig
from ffl_ray.console.log import everything_else_to, log_file
from ffl_ray.console.plain_text import printable_line
from ffl_ray.errors import INTERRUPTED, StudyError

if TYPE_CHECKING:
    from rich.console import Console

    from ffl_ray.config.settings import SearchConfig
    from ffl_ray.orchestration.recorder import Recorder, StopWhenHopeless
    from ffl_ray.orchestration.retention import Keeper
    from ffl_ray.planning.data_check import DataFacts
    from ffl_ray.planning.layout import Plan
    from ffl_ray.planning.preflight import Preflight
    from ffl_ray.results.storage.storage import Storage
    from ffl_ray.results.study import StudyTables
    from ffl_ray.search.mirror import Mirror
    from ffl_ray.search.space import SearchSpace
    from ffl_ray.search.warm_start import WarmStart
    from ffl_ray.trackers.tracking import Views

MAY_CHANGE = frozenset(one.name for one in settings(StudyConfig) if one.marks.may_change)
ENDED = ("completed", "pruned", "failed")


class Order(NamedTuple):
    """A search that has been checked and may start."""

    name: str
    storage: Storage
    space: SearchSpace
    settings: StudyConfig
    plan: Plan
    facts: DataFacts
    warm_start: WarmStart | None
    mirror: Mirror | None


def run_search(order: Order, preflight: Preflight) -> int:
    """Run what is left of a search and show what came out; returns the exit status.

    Raises:
        StudyError: the storage is full, or does not answer any more.
    """
    from ffl_ray.console.exit_message import exit_message, killed_text
    from ffl_ray.console.live import StudyView
    from ffl_ray.console.plan_view import plan_lines
    from ffl_ray.console.terminal import make_console, storage_news
    from ffl_ray.orchestration.ray_setup import ray_state
    from ffl_ray.orchestration.retention import Keeper
    from ffl_ray.orchestration.rounds import run_rounds
    from ffl_ray.results.study import StudyTables
    from ffl_ray.search.warm_start import keep_warm_start
    from ffl_ray.trackers.tracking import Views, tracking_of

    study, plan, storage = order.settings, order.plan, order.storage
    search, objectives = study.search, study.objectives
    tables = StudyTables.open(
        storage, order.name, _description(order), objectives, may_change=MAY_CHANGE
    )
    keep_warm_start(storage, order.warm_start)
    keeper = Keeper(storage, objectives, search.keep_checkpoints)
    keeper.tidy(tables.trials.rows)
    console = make_console()
    console.print(plan_lines(preflight, _left(tables, search)))
    title = (
        f"{order.name}: {search.num_samples} trials, {plan.max_concurrent_trials} at once, on "
        f"{study.data.name} ({order.facts.num_train:,} to train, {order.facts.num_val:,} to "
        f"validate)"
    )
    view = StudyView(
        console, title, search.num_samples, study.pruning_objective, [*tables.trials.rows]
    )
    tracking = tracking_of(search, tables, lambda number: tables.trials[f"{number:05d}"]["params"])
    views = Views(view, tracking)
    started = time.monotonic()
    message = exit_message(killed_text(f"the same command with --name {order.name}"))
    logged = everything_else_to(log_file(storage))
    with message, logged, storage_news(console), view, tracking, ray_state() as state:
        recorder = run_rounds(
            lambda: _fit(order, tables, keeper, views, state, started),
            lambda: _left(tables, search),
            search.max_failures,
        )
    status = _finish(tables, search, console, time.monotonic() - started)
    if tracking.lines:
        console.out("\n" + "\n".join(tracking.lines))
    if recorder.hopeless.message:
        raise StudyError(
            f"{storage.location} {_trouble(recorder.hopeless)}, and give the same command with "
            f"--name {order.name}"
        )
    return status


def _fit(
    order: Order, tables: StudyTables, keeper: Keeper, views: Views, state: str, started: float
) -> Recorder:
    """Run Tune once, for the trials that have not ended.

    Args:
        state: a folder for what Tune writes.
        started: when the command began to search, by the monotonic clock.
    """
    from ffl_ray.orchestration.job import Job
    from ffl_ray.orchestration.recorder import Recorder
    from ffl_ray.orchestration.scheduler import make_scheduler
    from ffl_ray.orchestration.tuner import make_tuner
    from ffl_ray.results.history import past_trials
    from ffl_ray.results.reader import objective_by_epoch
    from ffl_ray.search.searcher import StudySearcher

    study, storage, plan = order.settings, order.storage, order.plan
    search = study.search
    past = past_trials(tables.trials.rows, objective_by_epoch(storage))
    location = storage.location  # Tune pickles the searcher, and a lease can't be
    searcher = StudySearcher(
        order.space,
        study.training,
        search,
        tables.objectives,
        past=past,
        warm_start=order.warm_start,
        mirror=order.mirror,
        make_job=lambda trial_id, config: Job.planned(trial_id, config, location, plan)._asdict(),
    )
    scheduler = make_scheduler(search, study.pruning_objective, study.optim.epochs, past)
    recorder = Recorder(
        tables, keeper, scheduler, searcher.noted, views, plan.columns(), search.max_failures
    )
    rest = search
    if search.time_budget_s is not None:
        rest_s = max(1.0, search.time_budget_s - (time.monotonic() - started))
        rest = search.model_copy(update={"time_budget_s": rest_s})
    count = _left(tables, search)
    make_tuner(plan, rest, state, count, searcher, scheduler, recorder).fit()
    return recorder


def _left(tables: StudyTables, search: SearchConfig) -> int:
    """How many trials have not ended, or not even begun."""
    return search.num_samples - sum(row["status"] in ENDED for row in tables.trials.rows)


def _trouble(hopeless: StopWhenHopeless) -> str:
    """What is in the way of a study, and how to mend it."""
    kept = "Nothing that was finished is lost"
    if hopeless.is_gone:
        return f"does not answer any more: {hopeless.message}. {kept}: wait until it does"
    return f"is full: {hopeless.message}. {kept}: make room"


def nothing_left(tables: StudyTables, search: SearchConfig) -> int | None:
    """Show a study whose trials have all ended; None when there is something to do."""
    from ffl_ray.console.terminal import make_console

    ended = [row for row in tables.trials.rows if row["status"] in ENDED]
    if len(ended) < search.num_samples:
        return None
    console = make_console()
    console.out(f"{tables.name}: all {len(ended)} trials ended before; --num-samples adds more")
    return _finish(tables, search, console, 0.0)


def settings_of(space: SearchSpace, study: StudyConfig) -> dict[str, Any]:
    """What a study keeps as long as it goes on: its settings, and a hash of its space."""
    text = Path(space.path).read_bytes()
    return flatten(study) | {"search_space": hashlib.sha256(text).hexdigest()[:16]}


def _description(order: Order) -> dict[str, Any]:
    from ffl_ray.results.study import describe_study

    return describe_study(
        "search",
        settings_of(order.space, order.settings),
        space=Path(order.space.path).read_text(),
        plan=order.plan._asdict(),
        data=order.facts._asdict(),
    )


def _finish(tables: StudyTables, search: SearchConfig, console: Console, elapsed_s: float) -> int:
    """Show what came out; 0 when at least one trial was completed."""
    from ffl_ray.console.result_tables import best_table, front_table, where_text
    from ffl_ray.console.terminal import duration
    from ffl_ray.results.pareto import front

    rows, storage = tables.trials.rows, tables.storage
    counts = Counter(row["status"] for row in rows)
    states = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    console.out(f"\n{len(rows)} trials in {duration(elapsed_s)}: {states}\n")
    if any(row["epochs_done"] for row in rows):
        console.print(best_table(rows, tables.objectives))
        console.print()
    if len(tables.objectives) > 1 and counts["completed"]:
        console.print(front_table(front(rows, tables.member_rows(), tables.objectives)))
        console.print()
    failed = [row for row in rows if row["status"] == "failed"]
    if failed:
        row = failed[0]
        error = printable_line(f"{row['error_type']}: {row['error']}")
        console.out(f"{row['trial_id']} failed: {error}")
        console.out(f"all messages: column error of the trials table; {log_file(storage)}\n")
    console.out(where_text(storage.location, storage.child("trials").location))
    # One that was interrupted while its actors still started has no interrupted trial.
    left = _left(tables, search)
    if left > 0:
        console.out(f"\nto go on: the same command with --name {tables.name}")
    in_time = search.time_budget_s is None or elapsed_s < search.time_budget_s
    if left > 0 and in_time:
        return INTERRUPTED
    return 0 if counts["completed"] or left > 0 else 1
