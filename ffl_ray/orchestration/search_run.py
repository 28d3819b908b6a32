"""A search on Ray: machines, plan, rounds of Tune, and what came out."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from ffl_ray.console.live import StudyView
from ffl_ray.console.plan_view import plan_lines, plan_table
from ffl_ray.console.terminal import make_console, say
from ffl_ray.console.trial_text import PLAIN_WORDS, trial_words
from ffl_ray.console.view import Views
from ffl_ray.data.facts import DataFacts
from ffl_ray.errors import StudyError
from ffl_ray.orchestration.budget import fitted
from ffl_ray.orchestration.job import Job
from ffl_ray.orchestration.live_run import live_run
from ffl_ray.orchestration.ray_setup import cluster_machines, own_ray, ray_state
from ffl_ray.orchestration.recorder import Obstacle, Recorder
from ffl_ray.orchestration.remote import call_together, trial_cluster
from ffl_ray.orchestration.retention import CheckpointRetention, best_of_search
from ffl_ray.orchestration.scheduler import make_scheduler
from ffl_ray.orchestration.search_study import (
    MAY_CHANGE,
    Search,
    begun,
    limits_of,
    show_outcome,
    trial_s,
    trials_left,
    wants_plain,
)
from ffl_ray.orchestration.start import start
from ffl_ray.orchestration.time_budget import Deadline, deadline_of
from ffl_ray.orchestration.tune_searcher import TuneSearcher
from ffl_ray.orchestration.tuner import make_tuner, run_rounds
from ffl_ray.planning.gpu_sharing import shared_plan
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.member_costs import planned_members
from ffl_ray.planning.plain_baseline import PlainBaseline, plain_baseline
from ffl_ray.planning.preflight import Preflight, run_preflight
from ffl_ray.results.columns import PLAIN, PLAIN_ID
from ffl_ray.results.description import describe_study
from ffl_ray.results.history import PastTrial, past_trials
from ffl_ray.results.reader import objective_by_epoch, seconds_by_epoch
from ffl_ray.results.steering import Steering
from ffl_ray.results.study import StudyTables
from ffl_ray.results.writer import Row
from ffl_ray.search.rungs import SECONDS
from ffl_ray.search.samplers import warn_in_pythons_log
from ffl_ray.search.searcher import StudySearcher
from ffl_ray.search.warm_start import keep_warm_start
from ffl_ray.trackers.tracking import Tracking, tracking_of


@own_ray()
def run_search(search: Search, address: str | None, *, dry_run: bool) -> int:
    """Start or join Ray, and run what is left of a search there; returns the exit status.

    Args:
        address: of a cluster; none: Ray starts on this machine.
        dry_run: show the plan and stop.

    Raises:
        StudyError: the storage is full, or does not answer any more.
    """
    with make_console().status("starting Ray and opening the data"):
        plan, facts = start(
            address, search.settings.training, search.settings.search, search.storage
        )
    warn_in_pythons_log()
    with make_console().status("measuring what a trial takes"):
        if search.is_open:
            joined = address is not None
            where = trial_cluster(plan, joined=joined), cluster_machines()
            search, plan, facts = fitted(search, plan, facts, *where, joined=joined)
        preflight = _preflight(search, plan, facts, joined=address is not None)
    rows = begun(search)
    plain = _plain_baseline(search, rows, preflight, facts, joined=address is not None)
    if dry_run:
        make_console().print(plan_table(preflight, limits_of(search, rows)))
        if plain is not None:
            say(make_console(), f"\n{plain.words}")
        return 0
    return _train(search, preflight, facts, plain)


def _plain_baseline(
    search: Search, rows: list[Row], preflight: Preflight, facts: DataFacts, *, joined: bool
) -> PlainBaseline | None:
    """The plain baseline that is still to be begun, if one is.

    Args:
        rows: of the trials table.
    """
    if not wants_plain(search, rows):
        return None
    with make_console().status("measuring what the plain baseline takes"):
        return plain_baseline(
            search.space,
            search.settings.training,
            search.settings.search,
            preflight.sampled,
            preflight.plan,
            facts,
            trial_cluster(preflight.plan, joined=joined),
        )


def _preflight(search: Search, plan: Plan, facts: DataFacts, *, joined: bool) -> Preflight:
    """What the search will take, with as many trials on a GPU as is best."""
    settings = search.settings

    def check(plan: Plan) -> Preflight:
        cluster = trial_cluster(plan, joined=joined)
        study = (search.space, settings.training, settings.search)
        return run_preflight(*study, plan, facts, search.storage, cluster)

    preflight = check(plan)
    shared = shared_plan(preflight, settings.search, cluster_machines, call_together)
    if shared.plan != plan:
        preflight = check(shared.plan)
    forecast = preflight.forecast.slower(shared.slowdown)
    return preflight._replace(sharing=shared.sharing, forecast=forecast)


class Trials(NamedTuple):
    """The trials of a search that runs, and what hears of them."""

    search: Search
    plan: Plan
    tables: StudyTables
    retention: CheckpointRetention
    view: StudyView
    tracking: Tracking
    num_classes: int
    deadline: Deadline
    plain: PlainBaseline | None


def _train(
    search: Search, preflight: Preflight, facts: DataFacts, plain: PlainBaseline | None
) -> int:
    """Train what is left, and show what came out."""
    config = search.settings.search
    again = search.again or f"the same command with --name {search.name}"
    started = time.monotonic()
    trials = _open(search, preflight, facts, plain)
    tables, tracking = trials.tables, trials.tracking
    live = live_run(search.storage, again)
    with closing(tables), live, trials.view, tracking, ray_state() as state:
        recorder = run_rounds(
            lambda: _fit(trials, state),
            lambda: trials_left(tables, config),
            config.max_failures,
        )
        if not recorder.obstacle.message:
            trials.deadline.note()
    deadline, elapsed_s = trials.deadline, time.monotonic() - started
    status = show_outcome(
        tables,
        config,
        elapsed_s,
        started=search.started,
        left_s=deadline.left_s,
        came=deadline.came,
        again=search.again,
    )
    if tracking.lines:
        say(make_console(), "\n" + "\n".join(tracking.lines))
    if recorder.obstacle.message:
        trouble = _trouble(recorder.obstacle)
        raise StudyError(f"{search.storage.location} {trouble}, and give {again}")
    return status


def _open(
    search: Search, preflight: Preflight, facts: DataFacts, plain: PlainBaseline | None
) -> Trials:
    """Open a search's study, show the plan, and make what hears of its trials."""
    plan, storage, settings = preflight.plan, search.storage, search.settings
    description = describe_study(
        "search",
        search.kept_settings,
        space=Path(search.space.path).read_text(),
        plan=plan._asdict(),
        data=facts._asdict(),
        **({"budget": search.fit._asdict()} if search.fit else {}),
    )
    tables = StudyTables.open(
        storage, search.name, description, settings.objectives, may_change=MAY_CHANGE
    )
    keep_warm_start(storage, search.warm_start)
    kept = best_of_search(settings.objectives, settings.search.keep_checkpoints, tables.members)
    retention = CheckpointRetention(storage, kept)
    retention.apply(tables.trials.rows)
    console, limits = make_console(), limits_of(search, tables.trials.rows)
    console.print(plan_lines(preflight, trials_left(tables, settings.search), limits))
    if plain is not None:
        say(console, f"      {plain.words}")
    expected_s = preflight.forecast.trial_s
    deadline = deadline_of(search, limits.used_s, lambda: trial_s(tables, expected_s))
    view = _view(search, tables, plan, facts, plain, deadline)
    tracking = tracking_of(
        settings.search, tables, lambda number: tables.trials[f"{number:05d}"]["params"]
    )
    return Trials(
        search, plan, tables, retention, view, tracking, facts.num_classes, deadline, plain
    )


def _view(
    search: Search,
    tables: StudyTables,
    plan: Plan,
    facts: DataFacts,
    plain: PlainBaseline | None,
    deadline: Deadline,
) -> StudyView:
    settings, planned = search.settings, search.settings.search.num_samples
    title = (
        f"{search.name}: {planned} trials, {plan.max_concurrent_trials} at once, on "
        f"{settings.data.name} ({facts.num_train:,} to train, {facts.num_val:,} to validate)"
    )
    words = {} if plain is None else {PLAIN_ID: f"{trial_words(plain.config)}{PLAIN_WORDS}"}
    return StudyView(
        make_console(),
        title,
        planned,
        settings.pruning_objective,
        [*tables.trials.rows],
        words,
        most_s=lambda: deadline.left_s,
    )


def _fit(trials: Trials, state: str) -> Recorder:
    """Run Tune once, for the trials that have not ended.

    Args:
        state: a folder for what Tune writes.
    """
    search, plan, tables = trials.search, trials.plan, trials.tables
    settings, config = search.settings, search.settings.search
    past = past_trials(tables.trials.rows, objective_by_epoch(search.storage))
    searcher = _searcher(trials, past)
    is_plain = trials.plain is not None or any(trial.baseline == PLAIN for trial in past)
    scheduler = make_scheduler(
        config,
        settings.pruning_objective,
        settings.optim.epochs,
        past,
        settings.objectives,
        apart=[PLAIN_ID] if is_plain else [],
        spent_s=seconds_by_epoch(search.storage) if config.rung_unit == SECONDS else {},
    )
    recorder = Recorder(
        tables,
        trials.retention,
        scheduler,
        searcher.optuna_columns,
        Views(trials.view, trials.tracking),
        plan.columns(),
        config.max_failures,
    )
    count = trials_left(tables, config)
    deadline = trials.deadline
    tuned = TuneSearcher(searcher, deadline)
    make_tuner(plan, config, state, count, tuned, scheduler, recorder, deadline=deadline).fit()
    return recorder


def _searcher(trials: Trials, past: list[PastTrial]) -> StudySearcher:
    search, plan, num_classes = trials.search, trials.plan, trials.num_classes
    location = search.storage.location  # Tune pickles the searcher, and a lease can't be
    return StudySearcher(
        search.space,
        search.settings.training,
        search.settings.search,
        search.settings.objectives,
        past=past,
        warm_start=search.warm_start,
        plain=None if trials.plain is None else trials.plain.config,
        known_members=lambda config: planned_members(config, num_classes),
        mirror=search.mirror,
        steering=Steering(location),
        make_job=lambda trial_id, config: Job.planned(trial_id, config, location, plan)._asdict(),
    )


def _trouble(obstacle: Obstacle) -> str:
    """What is in the way of a study, and how to mend it."""
    kept = "Nothing that was finished is lost"
    if obstacle.storage_is_gone:
        return f"does not answer any more: {obstacle.message}. {kept}: wait until it does"
    return f"is full: {obstacle.message}. {kept}: make room"
