"""A study of thousands of made trials, proposed by the real space and stored in the real tables."""

from __future__ import annotations

from typing import Any, NamedTuple

import optuna

from benchmarks.made_study import epochs_table, member_rows, rows_of, trial_rows
from benchmarks.table_writing import BULK_TRIALS
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import StudyConfig
from ffl_ray.results.description import describe_study
from ffl_ray.results.schema import config_columns
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.results.writer import AppendedTable, KeyedTable
from ffl_ray.search.distributions import drawn_columns
from ffl_ray.search.space import SearchSpace, load_space, settle, trial_config

NAME = "scale"
OBJECTIVE = "ensemble.accuracy"  # which every made trial has
COMPLETED_ONE_IN = 3  # ASHA's factor


class Setting(NamedTuple):
    """What is searched, by what."""

    space: SearchSpace
    study: StudyConfig


def setting(epochs: int, trials: int, sampler: str) -> Setting:
    """The default search, of so many trials of so many epochs."""
    space = load_space("digits")
    changes: dict[str, object] = {
        "optim.epochs": epochs,
        "search.sampler": sampler,
        "search.num_samples": trials,
        "objective": OBJECTIVE,
    }
    return Setting(space, settle(space, changes))


def describe(storage: Storage, given: Setting) -> None:
    """Begin the study."""
    about = describe_study("search", flatten(given.study), data={"num_val": 5000})
    StudyTables.open(storage, NAME, about, given.study.objectives)


def fill(storage: Storage, given: Setting, first: int, trials: int) -> None:
    """Store trials that have ended, numbers from `first` up: one in three completed."""
    epochs = given.study.optim.epochs
    _fill_epochs(AppendedTable(storage, "epochs"), first, trials, epochs)
    keyed = KeyedTable(storage, "trials", "trial_id")
    members: list[dict[str, Any]] = []
    for row in trial_rows(first, trials - first, epochs):
        number = int(row["trial_id"])
        last = last_epoch(number, epochs)
        drawn = _drawn(given, number)
        changes = row | drawn | {"study": NAME, "epochs_done": last, "epochs_planned": epochs}
        changes["status"] = "completed" if last == epochs else "pruned"
        keyed.change(**{"key": row["trial_id"], **changes})
        ids = {"study": NAME, "trial_id": row["trial_id"]}
        for which in ("latest", "best"):
            members += [ids | {"checkpoint": which} | m for m in member_rows(number, last)]
    keyed.store()
    AppendedTable(storage, "members").append(members)


def last_epoch(number: int, epochs: int) -> int:
    """Where a made trial ends: after a ninth, a third, or all of its epochs."""
    if number % COMPLETED_ONE_IN == 0:
        return epochs
    return max(1, epochs // 9) if number % COMPLETED_ONE_IN == 1 else max(1, epochs // 3)


def _fill_epochs(table: AppendedTable, first: int, trials: int, epochs: int) -> None:
    for start in range(first, trials, BULK_TRIALS):
        rows = rows_of(start, min(BULK_TRIALS, trials - start), epochs)
        kept = [e <= last_epoch(t, epochs) for t, e in zip(rows.trial, rows.epoch, strict=True)]
        made = epochs_table(rows).filter(kept)
        study = made.schema.get_field_index("study")
        named = [NAME] * made.num_rows
        table.extend(made.set_column(study, made.schema.field(study), [named]))


def _drawn(given: Setting, number: int) -> dict[str, Any]:
    """What a random proposal of the space sets, as columns of the trials table."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number))
    trial = study.ask()
    config = trial_config(given.space, given.study.training, trial)
    drawn = drawn_columns(study.get_trials(deepcopy=False)[trial.number])
    return {**config_columns(config), **drawn, "sampler_state": "{}"}
