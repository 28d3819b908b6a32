"""Train one config: `python -m ffl_ray.train [--set NAME=VALUE]...`; --help lists the options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ffl_ray import cli
from ffl_ray.console.exit_message import exit_message, killed_text

if TYPE_CHECKING:
    from ffl_ray.config.settings import Config, SearchConfig
    from ffl_ray.console.train_view import TrainView
    from ffl_ray.orchestration.job import Job
    from ffl_ray.planning.data_check import DataFacts
    from ffl_ray.planning.layout import Plan
    from ffl_ray.results.study import StudyTables
    from ffl_ray.training.session import Report

OnReport = Callable[["Report"], None]
Run = Callable[["Job", OnReport], None]

DESCRIPTION = """Train the branches, the ensemble and the fused classifier of one config.

One worker trains in this process; --num-workers N trains on Ray Train with
DistributedDataParallel, on this machine or on the cluster at --address. The same command with
the same --name goes on from the last finished epoch."""
TRIAL_ID = "00000"


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("train", DESCRIPTION)
    cli.add_common_options(made, trials=False)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _train(args))


def _train(args: argparse.Namespace) -> int:
    from ffl_ray.config.methods import resolved, with_reachable_objective
    from ffl_ray.config.objectives import parse_objective
    from ffl_ray.config.overrides import flatten, with_overrides
    from ffl_ray.config.settings import Config
    from ffl_ray.console.result_tables import members_table, where_text
    from ffl_ray.console.terminal import make_console
    from ffl_ray.console.train_view import TrainView
    from ffl_ray.console.trial_text import trial_words
    from ffl_ray.distill.check import check_config
    from ffl_ray.orchestration.job import Job
    from ffl_ray.orchestration.start import start
    from ffl_ray.planning.data_check import absolute_data_dir
    from ffl_ray.results.storage.access import study_storage
    from ffl_ray.results.study import (
        StudyTables,
        check_goes_on,
        check_name,
        default_name,
        describe_study,
    )

    overrides = cli.overrides_of(args)
    config = resolved(with_overrides(Config(), overrides))
    if "objective" not in overrides:
        config = with_reachable_objective(config)
    check_config(config)
    search = cli.resources_of(args, 1)
    if args.address is None:
        config = with_overrides(config, absolute_data_dir(config))
    name = check_name(args.name or default_name("train"))
    storage = study_storage(args.storage_path, name)
    on_ray = search.num_workers > 1 or args.address is not None
    settings = flatten(config) | {"search.num_workers": search.num_workers}
    check_goes_on(storage, "train", settings)
    with make_console().status("opening the data"):
        if on_ray:
            plan, facts = start(args.address, config, search)
        else:
            plan, facts = _plan_here(config, search)
    description = describe_study("train", settings, data=facts._asdict())
    objective = parse_objective(config.objective)
    tables = StudyTables.open(storage, name, description, [objective])
    console = make_console()
    console.out(
        f"{name}: {trial_words(config)} on {config.data.name}, {config.optim.epochs} epochs, "
        f"{search.num_workers} worker{'s' * (search.num_workers > 1)}"
    )
    view = TrainView(console, config.optim.epochs)
    job = Job.planned(TRIAL_ID, config, storage.location, plan)
    if TRIAL_ID not in tables.trials or tables.trials[TRIAL_ID]["status"] != "completed":
        tables.start(TRIAL_ID, config, **plan.columns())
        _attempt(_run_on_ray if on_ray else _run_here, job, tables, view)
    console.print()
    console.print(members_table(tables.members(TRIAL_ID)))
    console.print()
    console.out(where_text(storage.location, storage.child("trials").location))
    return 0


def _attempt(run: Run, job: Job, tables: StudyTables, view: TrainView) -> None:
    """Run the job, and have the tables say how it ended."""
    from ffl_ray.console.log import everything_else_to, log_file

    def on_report(report: Report) -> None:
        new = report.row["epoch"] > tables.trials[TRIAL_ID]["epochs_done"]
        tables.epoch(TRIAL_ID, *report)
        if new:
            view.epoch_finished(report.row)

    from ffl_ray.console.terminal import make_console, storage_news

    message = exit_message(killed_text(f"the same command with --name {tables.name}"))
    logged = everything_else_to(log_file(tables.storage))
    try:
        with message, logged, storage_news(make_console()):
            run(job, on_report)
    except KeyboardInterrupt:
        tables.end(TRIAL_ID, "interrupted")
        raise
    except Exception as error:
        tables.end(TRIAL_ID, "failed", (type(error).__name__, str(error)))
        raise
    tables.end(TRIAL_ID, "completed")


def _plan_here(config: Config, search: SearchConfig) -> tuple[Plan, DataFacts]:
    """One worker in this process, with its GPU if it has one, and the data opened."""
    import torch

    from ffl_ray.orchestration.start import check_shares
    from ffl_ray.planning.data_check import data_facts
    from ffl_ray.planning.layout import Machines, available_cpus, make_plan

    machines = Machines(available_cpus(), torch.cuda.device_count())
    plan = make_plan(search, machines, device=config.compute.device)
    facts = data_facts(config)
    check_shares(config, 1, facts)
    return plan, facts


def _run_here(job: Job, on_report: OnReport) -> None:
    """One worker, in this process."""
    import torch

    from ffl_ray.orchestration.local import LocalSession
    from ffl_ray.training.worker import run_worker

    device = torch.device("cuda", 0) if job.gpus_per_worker else torch.device("cpu")
    run_worker(job.config, LocalSession(job.files, job.cpus_per_worker, on_report, device))


def _run_on_ray(job: Job, on_report: OnReport) -> None:
    """Several workers, or a cluster."""
    from ffl_ray.config.settings import SearchConfig
    from ffl_ray.orchestration.train_workers import train_and_report

    train_and_report(job, on_report, max_failures=SearchConfig().max_failures)


if __name__ == "__main__":
    sys.exit(main())
