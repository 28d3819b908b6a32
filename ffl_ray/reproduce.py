"""Published tables, trained again: `python -m ffl_ray.reproduce TABLE`; --help has the options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ffl_ray import cli
from ffl_ray.errors import DataError, SettingError

if TYPE_CHECKING:
    from ffl_ray.config import Config, SearchConfig
    from ffl_ray.final_runs import FinalRun
    from ffl_ray.reproduction.presets import Departures, Scale
    from ffl_ray.reproduction.published import Row, Table
    from ffl_ray.reproduction.verdict import Reproduced
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
RESOURCES = ("max_concurrent_trials", "num_workers", "cpus_per_trial", "gpus_per_trial")
MAY_CHANGE = frozenset(("reproduce.rows", "reproduce.seeds"))
MOST_SEEDS = 1000


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
    scale.add_argument("--max-concurrent-trials", type=int, metavar="N", help="trainings at once")
    scale.add_argument("--dry-run", action="store_true", help="how many trainings and hours; stop")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _reproduce(args))


class Order(NamedTuple):
    """A reproduction that has been checked.

    Attributes:
        name: of the table.
        rows: those that are asked for.
        scale: how much smaller than published.
        changes: dotted settings that replace the presets'.
        seed: the first; the others follow it.
        seeds: how many.
    """

    name: str
    table: Table
    rows: tuple[Row, ...]
    scale: Scale
    changes: dict[str, object]
    seed: int
    seeds: int

    def config(self, row: Row, seed: int | None = None) -> Config:
        """The training of a row with a seed, by default the first."""
        from ffl_ray.reproduction.presets import preset

        changes = self.changes | {"seed": self.seed if seed is None else seed}
        return preset(row, self.table.data, self.scale, changes)

    @property
    def departures(self) -> Departures:
        """What makes it incomparable with what is published."""
        from ffl_ray.reproduction.presets import departures

        return departures(self.rows, self.table.data, self.scale, self.changes)

    def settings(self) -> dict[str, Any]:
        """What the study keeps as long as it goes on."""
        return {
            "reproduce.table": self.name,
            "reproduce.rows": [row.name for row in self.rows],
            "reproduce.seeds": self.seeds,
            "seed": self.seed,
            **{f"reproduce.{name}": value for name, value in self.scale._asdict().items()},
            **self.changes,
        }


def _reproduce(args: argparse.Namespace) -> int:
    from ffl_ray.console import make_console
    from ffl_ray.results.study import check_goes_on, check_name, default_name

    if args.table is None or args.list:
        return _list(args.table)
    order = planned(args)
    runs = final_runs(order)
    search = _search(args, len(runs))
    name = check_name(args.name or default_name(f"reproduce-{order.name}"))
    storage = cli.study_storage(args.storage_path, name)
    goes_on = check_goes_on(storage, "reproduce", order.settings(), MAY_CHANGE)
    if args.dry_run:
        return _dry_run(args, order, runs, search)
    if goes_on:
        from ffl_ray.final_runs import waiting_runs
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
    from ffl_ray.console import make_console
    from ffl_ray.reproduction.presets import find_table
    from ffl_ray.reproduction.view import list_table, rows_table

    shown = list_table() if name is None else rows_table(name, find_table(name))
    make_console().print(shown)
    return 0


def planned(args: argparse.Namespace) -> Order:
    """What the options ask for.

    Raises:
        SettingError: a table, a row, a number or a setting is not allowed.
        DataError: the images are nowhere.
    """
    from ffl_ray.models.table import check_model
    from ffl_ray.reproduction.presets import SEEDS, Scale, choose_rows, find_table

    table = find_table(args.table)
    changes = cli.overrides_of(args)
    seeds = SEEDS if args.seeds is None else args.seeds
    if not 1 <= seeds <= MOST_SEEDS:
        raise SettingError(f"--seeds must be 1 to {MOST_SEEDS}, not {seeds}")
    scale = Scale(args.epochs, args.fraction, args.backbone)
    order = Order(args.table, table, choose_rows(table, args.rows), scale, changes, 0, seeds)
    first = preset_of(order)
    changes.pop("seed", None)
    for row in order.rows:
        check_model(order.config(row))
    return order._replace(changes=changes | _data_dir(first, args.address), seed=first.seed)


def preset_of(order: Order) -> Config:
    """The first row's config, its seed as the settings have it."""
    from ffl_ray.reproduction.presets import preset

    return preset(order.rows[0], order.table.data, order.scale, order.changes)


def _data_dir(config: Config, address: str | None) -> dict[str, object]:
    """data.dir as workers find it.

    Raises:
        DataError: the data set needs files, and nobody said where they are.
    """
    if config.data.dir is None and config.data.name != "digits":
        raise DataError(
            f"--data-dir must name the folder that holds the files of {config.data.name} "
            f"(--set data.download=true fetches them into it), and is not given"
        )
    return cli.absolute_data_dir(config) if address is None else {}


def final_runs(order: Order) -> list[FinalRun]:
    """Every training once, by seed and then by row; ids stay when rows or seeds are added."""
    from ffl_ray.final_runs import FinalRun

    of_table = list(dict.fromkeys(order.config(row) for row in order.table.rows))
    labels: dict[Config, list[str]] = {}
    for row in order.rows:
        labels.setdefault(order.config(row), []).append(row.name)
    return [
        FinalRun(
            f"{of_table.index(config) * MOST_SEEDS + index:05d}",
            f"{', '.join(names)}, seed {order.seed + index}",
            config.model_copy(update={"seed": order.seed + index}),
        )
        for index in range(order.seeds)
        for config, names in labels.items()
    ]


def _search(args: argparse.Namespace, count: int) -> SearchConfig:
    from ffl_ray.config import SearchConfig
    from ffl_ray.overrides import with_overrides

    given = {name: getattr(args, name) for name in RESOURCES}
    return with_overrides(
        SearchConfig(num_samples=count), {n: v for n, v in given.items() if v is not None}
    )


def _dry_run(
    args: argparse.Namespace, order: Order, runs: list[FinalRun], search: SearchConfig
) -> int:
    from ffl_ray.console import make_console
    from ffl_ray.reproduction.cost import expected_seconds, plan_words

    with make_console().status("starting Ray, opening the data and measuring"):
        plan, facts = cli.start(args.address, runs[0].config, search, final=True)
        configs = [run.config for run in runs]
        seconds = expected_seconds(configs, plan, facts, cluster=args.address is not None)
    make_console().out(plan_words(order.name, configs, plan, facts, seconds))
    if order.departures.words:
        make_console().out(f"{order.departures.words}: not comparable with the published value")
    return 0


def _train(
    args: argparse.Namespace, order: Order, runs: list[FinalRun], search: SearchConfig, name: str
) -> int:
    from ffl_ray.console import make_console
    from ffl_ray.final_runs import run_final_runs
    from ffl_ray.results.study import StudyTables, describe_study

    storage = cli.study_storage(args.storage_path, name)
    with make_console().status("starting Ray and opening the data"):
        plan, facts = cli.start(args.address, runs[0].config, search, final=True)
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
    from ffl_ray.console import make_console
    from ffl_ray.reproduction.table import FOLDER, write_reproduced
    from ffl_ray.reproduction.view import reproduced_table

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


def held_against(
    order: Order, runs: list[FinalRun], accuracies: Mapping[str, Mapping[str, float]]
) -> list[Reproduced]:
    """Every row of the order with what its runs gave.

    Args:
        accuracies: of the members on the test split, by run.
    """
    from ffl_ray.reproduction.verdict import reproduced

    found = []
    for row in order.rows:
        config = order.config(row)
        of_row = {
            run.config.seed: accuracies[run.run_id]
            for run in runs
            if run.run_id in accuracies
            and run.config == config.model_copy(update={"seed": run.config.seed})
        }
        found.append(reproduced(row, of_row, comparable=not order.departures.words))
    return found


def tested_accuracies(tables: StudyTables) -> dict[str, dict[str, float]]:
    """Accuracies on the test split of the members of each run that was measured there."""
    found: dict[str, dict[str, float]] = {}
    for row in tables.member_rows():
        if row["split"] == "test":
            found.setdefault(row["trial_id"], {})[row["member"]] = row["accuracy"]
    return found


if __name__ == "__main__":
    sys.exit(main())
