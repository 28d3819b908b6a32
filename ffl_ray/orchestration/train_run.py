"""One training from what was asked for to its members: the body of `python -m ffl_ray.train`.

One worker trains in this process, and Ray is not loaded; several, or a cluster, train on Ray.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ffl_ray.config.methods import resolved_from, with_reachable_objective
from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.overrides import changeable, flatten, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig, SearchConfig
from ffl_ray.console.data_text import data_text
from ffl_ray.console.result_tables import members_table, where_text
from ffl_ray.console.terminal import make_console, say
from ffl_ray.console.train_view import TrainView
from ffl_ray.console.trial_text import trial_words
from ffl_ray.distill.check import check_config
from ffl_ray.orchestration.job import Job
from ffl_ray.orchestration.live_run import live_run
from ffl_ray.planning.data_dir import absolute_data_dir
from ffl_ray.planning.layout import Plan
from ffl_ray.results.description import check_goes_on, check_name, default_name, describe_study
from ffl_ray.results.storage.access import study_storage
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables

if TYPE_CHECKING:
    from ffl_ray.data.facts import DataFacts
    from ffl_ray.training.session import Report

TRIAL_ID = "00000"
MAY_CHANGE = changeable(Config)
Train = Callable[[Job, Callable[["Report"], None]], None]


class Training(NamedTuple):
    """A training whose settings were checked.

    Attributes:
        name: of its study.
        storage: the study's folder.
        config: what is trained.
        resources: its workers, and what they get.
        address: of the cluster; none: this machine.
    """

    name: str
    storage: Storage
    config: ResolvedConfig
    resources: SearchConfig
    address: str | None

    @property
    def on_ray(self) -> bool:
        """Whether it trains on Ray, not in this process."""
        return self.resources.num_workers > 1 or self.address is not None

    @property
    def settings(self) -> dict[str, Any]:
        """What its study keeps as long as it goes on."""
        return flatten(self.config) | {"search.num_workers": self.resources.num_workers}


def run_training(
    args: argparse.Namespace, overrides: Mapping[str, object], resources: SearchConfig
) -> int:
    """Train, or go on with it, and show the members; returns the exit status.

    Args:
        args: of the command line.
        overrides: settings that it changes, by dotted names.
        resources: workers of the training, and what they get.
    """
    training = _checked(args, overrides, resources)
    run = _dry_run if args.dry_run else _run
    if not training.on_ray:
        return run(training)
    from ffl_ray.orchestration.ray_setup import own_ray

    with own_ray():
        return run(training)


def _dry_run(training: Training) -> int:
    console = make_console()
    with console.status("opening the data and measuring"):
        plan, facts, _ = _home(training)
        words = _plan_words(training, plan, facts)
    say(console, data_text(facts))
    say(console, f"{_title(training, plan)}: {words}")
    return 0


def _plan_words(training: Training, plan: Plan, facts: DataFacts, *, if_long: bool = False) -> str:
    """The time, memory and size of a training; if it must be long, nothing where it is not."""
    from ffl_ray.orchestration.train_plan import is_long, plan_words

    config, on_ray = training.config, training.on_ray
    if if_long and not is_long(config, plan, facts):
        return ""
    return plan_words(config, plan, facts, on_ray=on_ray, joined=training.address is not None)


def _run(training: Training) -> int:
    console = make_console()
    with console.status("opening the data"):
        plan, facts, train = _home(training)
    with closing(_open(training, plan, facts)) as tables:
        say(console, data_text(facts))
        say(console, _title(training, plan))
        view = TrainView(console, training.config.optim.epochs)
        if TRIAL_ID not in tables.trials or tables.trials[TRIAL_ID]["status"] != "completed":
            words = _plan_words(training, plan, facts, if_long=True)
            if words:
                say(console, f"plan  {words}")
            tables.start(TRIAL_ID, training.config, **plan.columns())
            job = Job.planned(TRIAL_ID, training.config, training.storage.location, plan)
            _attempt(partial(train, job), tables, view)
    console.print()
    console.print(members_table(tables.members(TRIAL_ID)))
    console.print()
    location = training.storage.location
    console.out(where_text(location, training.storage.child("trials").location))
    return 0


def _checked(
    args: argparse.Namespace, overrides: Mapping[str, object], resources: SearchConfig
) -> Training:
    """What was asked for, refused where it can't be."""
    config = resolved_from(overrides)
    if "objective" not in overrides:
        config = with_reachable_objective(config)
    check_config(config)
    if args.address is None:
        config = with_overrides(config, absolute_data_dir(config))
    name = check_name(args.name or default_name("train"))
    storage = study_storage(args.storage_path, name)
    training = Training(name, storage, config, resources, args.address)
    check_goes_on(storage, "train", training.settings, MAY_CHANGE)
    return training


def _home(training: Training) -> tuple[Plan, DataFacts, Train]:
    """Where it trains, laid out, with the data opened; and what trains a job there."""
    config, resources = training.config, training.resources
    if not training.on_ray:
        from ffl_ray.orchestration.local import plan_here, train_here

        return *plan_here(config, resources, training.storage), train_here
    from ffl_ray.orchestration.start import start
    from ffl_ray.orchestration.train_workers import train_and_report

    train = partial(train_and_report, max_failures=SearchConfig().max_failures)
    return *start(training.address, config, resources, training.storage), train


def _title(training: Training, plan: Plan) -> str:
    config = training.config
    words = f"{trial_words(config)} on {config.data.name}, {config.optim.epochs} epochs"
    return f"{training.name}: {words}, {_resources(plan)}"


def _resources(plan: Plan) -> str:
    workers, threads = plan.num_workers, plan.cpus_per_worker
    return f"{workers} worker{'s' * (workers > 1)} of {threads} thread{'s' * (threads > 1)}"


def _open(training: Training, plan: Plan, facts: DataFacts) -> StudyTables:
    description = describe_study(
        "train", training.settings, plan=plan._asdict(), data=facts._asdict()
    )
    objective = parse_objective(training.config.objective)
    return StudyTables.open(
        training.storage, training.name, description, [objective], may_change=MAY_CHANGE
    )


def _attempt(
    train: Callable[[Callable[[Report], None]], None], tables: StudyTables, view: TrainView
) -> None:
    """Train, and have the tables say how it ended."""

    def on_report(report: Report) -> None:
        new = report.row["epoch"] > tables.trials[TRIAL_ID]["epochs_done"]
        tables.epoch(TRIAL_ID, *report)
        if new:
            view.epoch_finished(report.row)

    again = f"the same command with --name {tables.name}"
    try:
        with live_run(tables.storage, again):
            train(on_report)
    except KeyboardInterrupt:
        tables.end(TRIAL_ID, "interrupted")
        make_console().out(f"to go on: {again}")
        raise
    except Exception as error:
        tables.end(TRIAL_ID, "failed", (type(error).__name__, str(error)))
        raise
    tables.end(TRIAL_ID, "completed")
