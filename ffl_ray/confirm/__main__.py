"""Confirm a search: `python -m ffl_ray.confirm STUDY`; --help lists the options."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from ffl_ray import cli
from ffl_ray.errors import SettingError, StudyError

if TYPE_CHECKING:
    from ffl_ray.confirm.confirmation import Confirmation, Order
    from ffl_ray.planning.layout import Plan
    from ffl_ray.results.storage.storage import Storage
    from ffl_ray.results.study import StudyTables

BASELINES = ("both", "epochs", "seconds", "none")
DESCRIPTION = """Train a search's best configs again with new seeds, and open the test split.

The best configs by validation are trained on train and val together, each with every seed, and
measured on the test split once, after the last epoch. Beside them the same branches without any
teaching: with as many epochs, so that inference costs the same, and with as many
accelerator-seconds. The tables of <STUDY>/confirmed say mean, 95% interval, and for each paired
difference better, worse or within noise.

The same command goes on where it stopped. More --seeds or a larger --top adds to what is there.
Seeds are the first integers from 1000 on that the search did not use, equal for all configs."""


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("confirm", DESCRIPTION)
    made.add_argument("study", metavar="STUDY", nargs="?", help="its name, folder or URI")
    made.add_argument("--top", type=int, default=3, metavar="K", help="configs (default 3)")
    made.add_argument("--seeds", type=int, default=5, metavar="N", help="of each (default 5)")
    made.add_argument(
        "--baselines",
        choices=BASELINES,
        default="both",
        help="independent trainings of equal epochs, of equal seconds, both, or none",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="show what would be trained and how long, and stop"
    )
    cli.add_common_options(made)
    made.add_argument("--max-concurrent-trials", type=int, metavar="N", help="trainings at once")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _confirm(args))


def _confirm(args: argparse.Namespace) -> int:
    from ffl_ray.confirm.confirmation import Confirmation, going_on, new_configs
    from ffl_ray.orchestration.final_runs import waiting_runs
    from ffl_ray.results.reader import mend_description, read_description
    from ffl_ray.results.study import StudyTables

    order = _order(args)
    before = None
    if order.storage.exists("study.json"):
        mend_description(order.storage)
        description = read_description(order.storage)
        before = Confirmation.load(description, order.storage.location)
        order = going_on(order, before)
        if not order.dry_run and order.seeds == before.seeds and not new_configs(order, before):
            tables = StudyTables(order.storage, order.name)
            if not waiting_runs(tables, before.final_runs):
                _finish(before, tables, description["data"]["num_train"])
                return 0
            del tables
    return _run(order, before)


def _order(args: argparse.Namespace) -> Order:
    """Check what was asked for against the study.

    Raises:
        SettingError: an option can't be.
        StudyError: no such study, it is no search, or it has no completed trial.
    """
    from ffl_ray.config.overrides import with_overrides
    from ffl_ray.config.settings import SearchConfig
    from ffl_ray.confirm.arms import best_configs, new_seeds
    from ffl_ray.confirm.confirmation import Order
    from ffl_ray.confirm.tables import FOLDER
    from ffl_ray.results.reader import find_study, load_tables, records
    from ffl_ray.results.storage.access import open_for_writing

    if args.study is None:
        raise SettingError("STUDY must name a search, by its name or folder")
    for option, value in (("--top", args.top), ("--seeds", args.seeds)):
        if value < 1:
            raise SettingError(f"{option} must be at least 1, not {value}")
    for option in ("seed", "name"):
        if getattr(args, option) is not None:
            raise SettingError(
                f"--{option} is not for confirm: seeds and place follow from the study"
            )
    changes = _changes(args)
    source = find_study(args.study, args.storage_path)
    description, objectives = _search_of(source)
    rows = records(load_tables(source).trials)
    ranked = best_configs(rows, objectives, len(rows))
    if not ranked:
        raise StudyError(
            f"{source.location} has no completed trial to confirm: search on, with "
            f"python -m ffl_ray.tune --name {description['study']}"
        )
    given = ("num_workers", "cpus_per_trial", "gpus_per_trial", "max_concurrent_trials")
    options = {name: getattr(args, name) for name in given if getattr(args, name) is not None}
    used = {row["seed"] for row in rows}
    seeds = new_seeds(used, args.seeds)
    search = with_overrides(SearchConfig(num_samples=args.top * args.seeds), options)
    return Order(
        storage=open_for_writing(source.location).child(FOLDER),
        name=f"{description['study']}/{FOLDER}",
        top=args.top,
        baselines=args.baselines,
        chosen=[one._replace(config=with_overrides(one.config, changes)) for one in ranked],
        seeds=seeds,
        settings={
            "baselines": args.baselines,
            "search.num_workers": search.num_workers,
            **changes,
        },
        search=search,
        ranked_by=", ".join(objective.name for objective in objectives),
        address=args.address,
        dry_run=args.dry_run,
    )


def _search_of(source: Storage) -> tuple[dict[str, Any], Any]:
    from ffl_ray.results.history import study_objectives
    from ffl_ray.results.reader import read_description

    return read_description(source), study_objectives(source)


def _changes(args: argparse.Namespace) -> dict[str, object]:
    """The settings that may be changed on the way from search to confirmation."""
    from ffl_ray.config.overrides import with_overrides
    from ffl_ray.config.settings import Config
    from ffl_ray.planning.data_check import absolute_data_dir

    changes = cli.overrides_of(args)
    for name in changes:
        if not name.startswith("compute.") and name != "data.dir":
            raise SettingError(
                f"confirm takes the study's settings as they are, apart from compute.* and "
                f"data.dir; not --set {name}"
            )
    config = with_overrides(Config(), changes)
    return changes if args.address is not None else changes | absolute_data_dir(config)


def _run(order: Order, before: Confirmation | None) -> int:
    from ffl_ray.confirm.confirmation import KIND, plan_confirmation
    from ffl_ray.console.terminal import make_console
    from ffl_ray.orchestration.final_runs import run_final_runs
    from ffl_ray.orchestration.start import start
    from ffl_ray.results.study import StudyTables, describe_study

    console = make_console()
    with console.status("starting Ray, opening the data and measuring epochs"):
        plan, facts = start(order.address, order.chosen[0].config, order.search, final=True)
        confirmation = plan_confirmation(order, before, plan, facts)
    console.out(_plan_text(order, confirmation, plan))
    if order.dry_run:
        return 0
    description = describe_study(
        KIND, order.settings, plan=plan._asdict(), data=facts._asdict(), **confirmation.dump()
    )
    tables = StudyTables.open(order.storage, order.name, description, [])
    if before is not None:
        _store(order, confirmation)
    status = run_final_runs(
        tables,
        confirmation.final_runs,
        order.search,
        plan,
        title=f"{order.name}: {len(confirmation.runs)} final trainings",
        keep=confirmation.winners,
    )
    _finish(confirmation, tables, facts.num_train)
    return status


def _store(order: Order, confirmation: Confirmation) -> None:
    """Have study.json say what was added."""
    from ffl_ray.results.reader import read_description

    description = read_description(order.storage) | confirmation.dump()
    text = json.dumps(description, indent=2, default=str)
    order.storage.write("study.json", text.encode(), copied=True)


def _plan_text(order: Order, confirmation: Confirmation, plan: Plan) -> str:
    """How many trainings there are, and how long those that wait will take."""
    from ffl_ray.console.plan_view import hours
    from ffl_ray.orchestration.final_runs import waiting_runs
    from ffl_ray.results.study import StudyTables

    waiting = confirmation.final_runs
    if order.storage.exists("study.json"):
        waiting = waiting_runs(StudyTables(order.storage, order.name), waiting)
    configs = len(confirmation.chosen)
    baselines = sum(arm.trial_id is None for arm in confirmation.arms)
    return (
        f"plan  {configs} config{'s' * (configs != 1)} and {baselines} "
        f"baseline{'s' * (baselines != 1)}, {len(order.seeds)} "
        f"seed{'s' * (len(order.seeds) != 1)} of each: {len(confirmation.runs)} trainings, "
        f"{len(waiting)} of them to be run, {plan.max_concurrent_trials} at once\n"
        f"      about {hours(confirmation.seconds(waiting) / plan.max_concurrent_trials)}"
    )


def _finish(confirmation: Confirmation, tables: StudyTables, num_train: int) -> None:
    """Write and show what the completed runs say."""
    from ffl_ray.confirm.confirmation import write_tables
    from ffl_ray.confirm.view import comparison_table, how_measured, summary_table
    from ffl_ray.console.terminal import make_console

    rows = write_tables(confirmation, tables)
    summary, compared = rows["summary"], rows["comparisons"]
    if not summary:
        return
    console = make_console()
    for table in (summary_table(summary), comparison_table(compared)):
        console.print(table)
        console.print()
    images = summary[0]["images"]
    verdicts = sum(row["difference.low"] is not None for row in compared)
    console.out(
        how_measured(confirmation.seeds, num_train, images, verdicts, confirmation.ranked_by)
    )
    location = tables.storage.location
    console.out(f"\nresults  {location}\n         import pandas as pd")
    console.out(
        f'         verdicts = pd.read_parquet("{tables.storage.child("comparisons").location}")'
    )


if __name__ == "__main__":
    sys.exit(main())
