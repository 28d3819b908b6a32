"""Published tables, trained again: `python -m ffl_ray.reproduce TABLE`; --help has the options."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ffl_ray import cli

if TYPE_CHECKING:
    from ffl_ray.config.settings import SearchConfig
    from ffl_ray.orchestration.final_runs import FinalRun
    from ffl_ray.reproduce.reproduction import Order
    from ffl_ray.results.study import StudyTables

DESCRIPTION = """Train what is published with the published settings, and hold ours against it.

TABLE is pcl-cifar100, pcl-cifar10, cmff-cifar100 or anchors; without it they are listed with what
they cost. Every row is trained on the whole training split with several seeds and measured on
the test split once, after its last epoch.

The verdict of a row: in band when our mean lies within two published standard deviations of the
published mean (anchors: in the plausible range), out of band when our whole 95% interval lies
outside, undecided between the two. --epochs, --fraction, --backbone and --set scale a run down or
change it: the output then says so, and gives no verdict; nor does a single seed.

The same command with the same --name goes on: finished trainings stay. --rows and --seeds may
grow."""
MAY_CHANGE = frozenset(("reproduce.rows", "reproduce.seeds"))


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("reproduce", DESCRIPTION)
    made.add_argument("table", nargs="?", metavar="TABLE")
    made.add_argument("--list", action="store_true", help="list the tables, or the rows of TABLE")
    made.add_argument(
        "--rows",
        nargs="+",
        action="extend",
        default=[],
        metavar="ROW",
        help="only these, such as resnet-32/ffl-s or resnet-32/* or */pcl",
    )
    cli.add_common_options(made)
    scale = made.add_argument_group("scale")
    scale.add_argument("--seeds", type=int, metavar="N", help="trainings of each row (default 3)")
    scale.add_argument("--epochs", type=int, metavar="E", help="in place of 300")
    scale.add_argument("--fraction", type=float, metavar="F", help="share of the training images")
    scale.add_argument("--backbone", metavar="NAME", help="in place of every row's own")
    scale.add_argument("--dry-run", action="store_true", help="how many trainings and hours; stop")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _reproduce(args))


def _reproduce(args: argparse.Namespace) -> int:
    from ffl_ray.results.storage.access import study_storage

    if args.table is None or args.list:
        return _list(args.table)
    from ffl_ray.console.terminal import make_console
    from ffl_ray.reproduce.reproduction import final_runs, planned
    from ffl_ray.results.study import check_goes_on, check_name, default_name

    order = planned(args)
    runs = final_runs(order)
    search = cli.resources_of(args, len(runs))
    name = check_name(args.name or default_name(f"reproduce-{order.name}"))
    storage = study_storage(args.storage_path, name)
    goes_on = check_goes_on(storage, "reproduce", order.settings(), MAY_CHANGE)
    if args.dry_run:
        return _dry_run(args, order, runs, search)
    if goes_on:
        from ffl_ray.orchestration.final_runs import waiting_runs
        from ffl_ray.results.study import StudyTables

        tables = StudyTables(storage, name)
        if not waiting_runs(tables, runs):
            make_console().out(f"{name}: all {len(runs)} trainings ended before")
            _finish(tables, order, runs)
            return 0
        del tables
    return _train(args, order, runs, search, name)


def _list(name: str | None) -> int:
    """Show all tables, or one table's rows."""
    from ffl_ray.console.terminal import make_console
    from ffl_ray.reproduce.presets import find_table
    from ffl_ray.reproduce.view import list_table, rows_table

    shown = list_table() if name is None else rows_table(name, find_table(name))
    make_console().print(shown)
    return 0


def _dry_run(
    args: argparse.Namespace, order: Order, runs: list[FinalRun], search: SearchConfig
) -> int:
    from ffl_ray.console.terminal import make_console
    from ffl_ray.orchestration.start import start
    from ffl_ray.reproduce.cost import expected_seconds, plan_words

    with make_console().status("starting Ray, opening the data and measuring"):
        plan, facts = start(args.address, runs[0].config, search, final=True)
        configs = [run.config for run in runs]
        seconds = expected_seconds(configs, plan, facts, cluster=args.address is not None)
    make_console().out(plan_words(order.name, configs, plan, facts, seconds))
    if order.departures.words:
        make_console().out(f"{order.departures.words}: not comparable with the published value")
    return 0


def _train(
    args: argparse.Namespace, order: Order, runs: list[FinalRun], search: SearchConfig, name: str
) -> int:
    from ffl_ray.console.terminal import make_console
    from ffl_ray.orchestration.final_runs import run_final_runs
    from ffl_ray.orchestration.start import start
    from ffl_ray.results.storage.access import study_storage
    from ffl_ray.results.study import StudyTables, describe_study

    storage = study_storage(args.storage_path, name)
    with make_console().status("starting Ray and opening the data"):
        plan, facts = start(args.address, runs[0].config, search, final=True)
    description = describe_study(
        "reproduce", order.settings(), plan=plan._asdict(), data=facts._asdict()
    )
    tables = StudyTables.open(storage, name, description, (), may_change=MAY_CHANGE)
    title = (
        f"{name}: {len(runs)} trainings of {order.name}, {plan.max_concurrent_trials} at once, "
        f"{facts.num_train:,} images to train on"
    )
    status = run_final_runs(tables, runs, search, plan, title=title)
    _finish(tables, order, runs)
    return status


def _finish(tables: StudyTables, order: Order, runs: list[FinalRun]) -> None:
    """Hold what is completed against what is published: in the study's table, and in print."""
    from ffl_ray.console.terminal import make_console
    from ffl_ray.reproduce.reproduction import held_against
    from ffl_ray.reproduce.table import FOLDER, write_reproduced
    from ffl_ray.reproduce.view import reproduced_table

    found = held_against(order, runs, tested_accuracies(tables))
    departures = order.departures
    configs = {row.name: order.config(row) for row in order.rows}
    write_reproduced(
        tables.storage, tables.name, order.name, order.table, found, configs, departures
    )
    console = make_console()
    console.print(reproduced_table(order.name, order.table, found, departures))
    console.out(
        f"\nresults  {tables.storage.location}\n"
        f"         import pandas as pd\n"
        f'         reproduced = pd.read_parquet("{tables.storage.child(FOLDER).location}")'
    )


def tested_accuracies(tables: StudyTables) -> dict[str, dict[str, float]]:
    """Accuracies on the test split of the members of each run that was measured there."""
    found: dict[str, dict[str, float]] = {}
    for row in tables.member_rows():
        if row["split"] == "test":
            found.setdefault(row["trial_id"], {})[row["member"]] = row["accuracy"]
    return found


if __name__ == "__main__":
    sys.exit(main())
