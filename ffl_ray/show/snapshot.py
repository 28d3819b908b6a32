"""A study at a moment, from its tables alone: what runs, what has ended, and the best so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.text import Text

from ffl_ray.config.objectives import Objective, parse_objective, parse_objectives
from ffl_ray.console.live import StudyView
from ffl_ray.console.plain_text import printable_line
from ffl_ray.console.result_tables import best_table
from ffl_ray.console.terminal import duration
from ffl_ray.results.best import called_best, ranked
from ffl_ray.results.columns import num_ended
from ffl_ray.results.description import read_description
from ffl_ray.results.guard import understood
from ffl_ray.results.reader import load_tables, records
from ffl_ray.results.steering import refused
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import LEFT

Row = dict[str, Any]
# A final run is judged by nothing; its epochs have no values.
NEVER_SHOWN = parse_objective("ensemble.accuracy")


class Snapshot(NamedTuple):
    """A study at a moment.

    Attributes:
        drawn: for a console.
        has_ended: whether all of its trials have.
        is_left: whether nobody goes on with it: it ran out of time, or was stopped. Who was killed
            may be started again.
    """

    drawn: RenderableType
    has_ended: bool
    is_left: bool


def snapshot(storage: Storage, console: Console) -> Snapshot:
    """A study as its tables have it now; nothing is written, and nobody is waited for.

    Raises:
        StudyError: it can't be read.
    """
    description = read_description(storage)
    tables = load_tables(storage)
    with understood(storage.location):
        trials, members = records(tables.trials), records(tables.members)
        epochs = {row["trial_id"]: row for row in records(tables.epochs)}
        objectives = _objectives(description)
        planned = max(_planned(description), len(trials))
        view = _view(console, description, trials, epochs, planned, objectives)
        blocks: list[RenderableType] = [view, Text(_last_words(trials, epochs), "dim")]
        if objectives and any(row["objective_values"] for row in trials):
            by_trial: dict[str, list[Row]] = {}
            for row in members:
                by_trial.setdefault(row["trial_id"], []).append(row)
            best = called_best(
                ranked(trials, objectives),
                objectives,
                lambda name: by_trial.get(name, []),
                trials=trials,
            )
            blocks += [Text(), best_table(trials, objectives, best)]
        for point, reason in refused(storage).items():
            blocks.append(Text(printable_line(f"not tried: {point}: {reason}"), "red"))
        ended = num_ended(trials)
    return Snapshot(Group(*blocks), ended >= planned, storage.exists(LEFT))


def _view(
    console: Console,
    description: Mapping[str, Any],
    trials: Sequence[Row],
    epochs: Mapping[str, Row],
    planned: int,
    objectives: Sequence[Objective],
) -> StudyView:
    """The view that the study's own driver has, filled from the tables."""
    first = min((row["started"] for row in trials if row["started"]), default=None)
    moments = [row["time"] for row in epochs.values() if row["time"]]
    elapsed = (max(moments) - first).total_seconds() if first and moments else 0.0
    title = f"{description['study']}: a {description['kind']} of {planned}, read from its tables"
    objective = objectives[0] if objectives else NEVER_SHOWN
    view = StudyView(console, title, planned, objective, trials, elapsed_s=elapsed)
    for trial in trials:
        if trial["status"] == "running":
            view.seen(trial, epochs.get(trial["trial_id"], {}))
    return view


def _objectives(description: Mapping[str, Any]) -> tuple[Objective, ...]:
    """What the study is judged by; nothing of final runs."""
    settings = description["settings"]
    if description["kind"] not in ("search", "train"):
        return ()
    return parse_objectives(settings.get("search.objectives") or [settings["objective"]])


def _planned(description: Mapping[str, Any]) -> int:
    if description["kind"] == "search":
        return int(description["settings"].get("search.num_samples") or 0)
    return len(description.get("runs", ()))


def _last_words(trials: Sequence[Row], epochs: Mapping[str, Row]) -> str:
    """When the study was heard of last: a dead one's trials stay running."""
    moments = [row["time"] for row in epochs.values() if row["time"]]
    moments += [row["ended"] for row in trials if row["ended"]]
    if not moments:
        return "no epoch yet"
    return f"the latest epoch {duration(max(0.0, _ago(max(moments))))} ago"


def _ago(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()
