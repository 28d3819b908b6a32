"""Writing a large made study: most of it in bulk, its beginning and its end report by report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.made_study import AT_ONCE, epochs_table, member_rows, rows_of, trial_rows
from ffl_ray.config.objectives import parse_objectives
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, StudyConfig
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.results.writer import AppendedTable, KeyedTable

Row = dict[str, Any]
NAME = "made"
OBJECTIVES = parse_objectives(["ensemble.accuracy"])
BULK_TRIALS = 128 * AT_ONCE


class Written(NamedTuple):
    """The cost of writing reports one by one.

    Attributes:
        reports_s: each call of `StudyTables.epoch`.
        trials_s: start and end of each trial.
    """

    reports_s: list[float]
    trials_s: list[float]

    @property
    def ms_per_epoch(self) -> float:
        """Milliseconds of everything, by the number of reported epochs."""
        return 1e3 * (sum(self.reports_s) + sum(self.trials_s)) / len(self.reports_s)


def describe(storage: Storage) -> StudyTables:
    """The tables of a new study."""
    names = [objective.name for objective in OBJECTIVES]
    study = with_overrides(StudyConfig(), {"search.objectives": names})
    description = describe_study("search", flatten(study))
    return StudyTables.open(storage, NAME, description, OBJECTIVES)


def fill(storage: Storage, trials: int, epochs: int) -> float:
    """Write completed trials in bulk, through the tables but not report by report.

    Returns:
        Seconds that the epochs table took.
    """
    table = AppendedTable(storage, "epochs")
    taken_s = 0.0
    for first in range(0, trials, BULK_TRIALS):
        rows = epochs_table(rows_of(first, min(BULK_TRIALS, trials - first), epochs))
        started = time.perf_counter()
        table.extend(rows)
        taken_s += time.perf_counter() - started
    keyed = KeyedTable(storage, "trials", "trial_id")
    members: list[Row] = []
    for row in trial_rows(0, trials, epochs):
        keyed.change(row["trial_id"], **row, study=NAME)
        ids = {"study": NAME, "trial_id": row["trial_id"]}
        for which in ("latest", "best"):
            found = member_rows(int(row["trial_id"]), epochs)
            members += [ids | {"checkpoint": which} | member for member in found]
    keyed.store()
    if members:
        AppendedTable(storage, "members").append(members)
    return taken_s


def report(tables: StudyTables, first: int, trials: int, epochs: int) -> Written:
    """The cost of trials that start, report and end, `AT_ONCE` by turns, as in a search."""
    written = Written([], [])
    config = with_overrides(Config(), {"optim.epochs": epochs})
    rows = {row["trial_id"]: row for row in trial_rows(first, trials, epochs)}
    for group in range(first, first + trials, AT_ONCE):
        count = min(AT_ONCE, first + trials - group)
        ids = [f"{trial:05d}" for trial in range(group, group + count)]
        for trial_id in ids:
            columns = {name: rows[trial_id][name] for name in ("params", "distributions")}
            written.trials_s.append(_timed(tables.start, trial_id, config, **columns))
        for trial_id, row in _reports(group, count, epochs):
            members = member_rows(int(trial_id), row["epoch"])
            written.reports_s.append(_timed(tables.epoch, trial_id, row, members, members))
        for trial_id in ids:
            written.trials_s.append(_timed(tables.end, trial_id, "completed"))
    return written


def _reports(first: int, trials: int, epochs: int) -> Iterator[tuple[str, Row]]:
    for row in epochs_table(rows_of(first, trials, epochs)).to_pylist():
        trial_id = row["trial_id"]
        yield trial_id, {n: v for n, v in row.items() if n not in ("study", "trial_id", "attempt")}


def _timed(call: Any, *arguments: Any, **named: Any) -> float:
    started = time.perf_counter()
    call(*arguments, **named)
    return time.perf_counter() - started
