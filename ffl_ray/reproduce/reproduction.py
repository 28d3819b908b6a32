"""A reproduction as the options ask for it, checked, and the trainings that it takes."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ffl_ray import cli
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import DataError, SettingError
from ffl_ray.models.registry import check_model
from ffl_ray.orchestration.final_run import FinalRun
from ffl_ray.planning.data_dir import absolute_data_dir
from ffl_ray.reproduce.presets import (
    SEEDS,
    Departures,
    Scale,
    choose_rows,
    departures,
    find_table,
    preset,
    presets_digest,
)
from ffl_ray.reproduce.rows import Row, Table
from ffl_ray.reproduce.verdict import Accuracies, Reproduced, reproduced

MOST_SEEDS = 1000


class Reproduction(NamedTuple):
    """The rows of a published table that are to be trained, and how.

    Attributes:
        name: of the table.
        rows: those that are asked for.
        scale: how much smaller than published.
        changes: dotted settings that replace the presets'.
        seed: the first; the others follow it.
        seeds: how many.
        num_workers: processes of one training.
    """

    name: str
    table: Table
    rows: tuple[Row, ...]
    scale: Scale
    changes: dict[str, object]
    seed: int
    seeds: int
    num_workers: int

    def config(self, row: Row) -> ResolvedConfig:
        """The training of a row with the first seed."""
        changes = self.changes | {"seed": self.seed}
        return preset(row, self.table.data, self.scale, changes)

    @property
    def departures(self) -> Departures:
        """The departures that make it incomparable with what is published."""
        return departures(self.rows, self.table.data, self.scale, self.changes)

    def settings(self) -> dict[str, Any]:
        """The settings that the study keeps as long as it goes on."""
        return {
            "reproduce.table": self.name,
            "reproduce.rows": [row.name for row in self.rows],
            "reproduce.seeds": self.seeds,
            "reproduce.presets": presets_digest(self.table),
            "seed": self.seed,
            "search.num_workers": self.num_workers,
            **{f"reproduce.{name}": value for name, value in self.scale._asdict().items()},
            **self.changes,
        }


def reproduction_of(args: argparse.Namespace) -> Reproduction:
    """The reproduction that the options ask for.

    Raises:
        SettingError: a table, a row, a number or a setting is not allowed.
        DataError: the images are nowhere.
    """
    table = find_table(args.table)
    changes = cli.overrides_of(args)
    seeds = SEEDS if args.seeds is None else args.seeds
    if not 1 <= seeds <= MOST_SEEDS:
        raise SettingError(f"--seeds must be 1 to {MOST_SEEDS}, not {seeds}")
    scale = Scale(args.epochs, args.fraction, args.backbone)
    rows = choose_rows(table, args.rows)
    first = preset(rows[0], table.data, scale, changes)
    changes = {name: value for name, value in changes.items() if name != "seed"}
    workers = cli.resources_of(args, 1).num_workers
    asked = Reproduction(args.table, table, rows, scale, changes, first.seed, seeds, workers)
    for row in rows:
        check_model(asked.config(row))
    return asked._replace(changes=changes | _data_dir(first, args.address))


def _data_dir(config: ResolvedConfig, address: str | None) -> dict[str, object]:
    """data.dir as workers find it.

    Raises:
        DataError: the data set needs files, and nobody said where they are.
    """
    if config.data.dir is None and config.data.name != "digits":
        raise DataError(
            f"--data-dir must name the folder that holds the files of {config.data.name} "
            f"(--set data.download=true fetches them into it), and is not given"
        )
    return absolute_data_dir(config) if address is None else {}


def final_runs(asked: Reproduction) -> list[FinalRun]:
    """Every training once, by seed and then by row; ids stay when rows or seeds are added."""
    of_table = list(dict.fromkeys(asked.config(row) for row in asked.table.rows))
    labels: dict[ResolvedConfig, list[str]] = {}
    for row in asked.rows:
        labels.setdefault(asked.config(row), []).append(row.name)
    return [
        FinalRun(
            f"{of_table.index(config) * MOST_SEEDS + index:05d}",
            f"{', '.join(names)}, seed {asked.seed + index}",
            config.model_copy(update={"seed": asked.seed + index}),
        )
        for index in range(asked.seeds)
        for config, names in labels.items()
    ]


def held_against(
    asked: Reproduction,
    runs: list[FinalRun],
    accuracies: Mapping[str, Accuracies],
    ended: Collection[str],
) -> list[Reproduced]:
    """Every row that is asked for with what its runs gave.

    Args:
        accuracies: of the members on the test split, by run.
        ended: the runs that have, failed ones too.
    """
    comparable = not asked.departures.words
    found = []
    trained = {one.run_id: one.config.model_copy(update={"seed": asked.seed}) for one in runs}
    for row in asked.rows:
        config = asked.config(row)
        own = [run for run in runs if trained[run.run_id] == config]
        of_row = {
            run.config.seed: accuracies[run.run_id] for run in own if run.run_id in accuracies
        }
        whole = all(run.run_id in ended for run in own)
        found.append(reproduced(row, of_row, comparable=comparable, whole=whole))
    return found
