"""A search as a study: what it keeps while it goes on, what is left of it, and what came out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple

from rich.console import Console

from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.overrides import changeable, flatten, with_overrides
from ffl_ray.config.settings import SearchConfig, StudyConfig
from ffl_ray.config.values import as_time
from ffl_ray.console.ending_text import why_ended
from ffl_ray.console.json_object import tell
from ffl_ray.console.limits_text import Limits
from ffl_ray.console.log import log_file
from ffl_ray.console.plain_text import printable_line
from ffl_ray.console.result_tables import best_table, front_table, next_text, where_text
from ffl_ray.console.terminal import make_console, say
from ffl_ray.errors import FAILED, INTERRUPTED
from ffl_ray.orchestration.outcome import how_many, outcome
from ffl_ray.planning.budget import ENDING_S, Fit
from ffl_ray.planning.plain_baseline import has_plain
from ffl_ray.results.best import called_best, ranked
from ffl_ray.results.columns import PLAIN_ID, num_ended
from ffl_ray.results.description import DESCRIPTION, SPACE, read_description
from ffl_ray.results.pareto import front
from ffl_ray.results.plain import held_against_plain
from ffl_ray.results.program import program_hash
from ffl_ray.results.pruning import pruning_cost
from ffl_ray.results.reader import load_tables, read_rows
from ffl_ray.results.search_answers.table import sentences, study_answers
from ffl_ray.results.spent import used_s
from ffl_ray.results.storage.access import as_argument
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.search.mirror import Mirror
from ffl_ray.search.space import SearchSpace, settle
from ffl_ray.search.warm_start import WarmStart

MAY_CHANGE = changeable(StudyConfig)


class Search(NamedTuple):
    """A search whose settings were checked.

    Attributes:
        name: of its study.
        storage: the study's folder.
        space: proposes the trials.
        settings: what all trials start from, and how it is searched.
        warm_start: proposes the first trials, if it knows another study's.
        mirror: is told of every trial, if there is one.
        overrides: the settings that the command line has, and `--config`.
        started: the command, by the monotonic clock.
        fit: what the budget chose now; none: it has nothing to choose, or has yet to.
        is_open: whether it has yet to.
        again: the command that goes on with it, in words, where it is a step of another one.
    """

    name: str
    storage: Storage
    space: SearchSpace
    settings: StudyConfig
    warm_start: WarmStart | None = None
    mirror: Mirror | None = None
    overrides: Mapping[str, object] = MappingProxyType({})
    started: float = 0.0
    fit: Fit | None = None
    is_open: bool = False
    again: str | None = None

    def settled(self, values: Mapping[str, object]) -> Search:
        """The search with some settings beside those of its command line.

        Raises:
            SettingError: one breaks a rule.
        """
        settings = settle(self.space, {**values, **self.overrides})
        if self.settings.data.dir is not None:
            settings = with_overrides(settings, {"data.dir": self.settings.data.dir})
        space = self.space._replace(backbones=settings.search.backbones)
        return self._replace(space=space, settings=settings)

    @property
    def kept_settings(self) -> dict[str, Any]:
        """What it keeps as long as it goes on: its settings, and a hash of its space."""
        text = Path(self.space.path).read_text()
        return flatten(self.settings) | {SPACE: program_hash(text)}

    def tables(self) -> StudyTables:
        """The tables of its study, which is there already."""
        return StudyTables(self.storage, self.name, self.settings.objectives)


def trials_left(tables: StudyTables, search: SearchConfig) -> int:
    """How many trials have not ended, or not even begun."""
    return search.num_samples - num_ended(tables.trials.rows)


def limits_of(search: Search, rows: Sequence[Mapping[str, Any]]) -> Limits:
    """What bounds a search, as a person is shown it.

    Args:
        rows: of its trials table.
    """
    config = search.settings.search
    ended = num_ended(rows)
    return Limits(
        budget_s=config.budget_s,
        used_s=used_s(search.storage),
        time_budget_s=config.time_budget_s,
        fit=search.fit,
        there=ended,
        begun=len(rows) - ended,
        trials=config.num_samples,
    )


def trial_s(tables: StudyTables, expected_s: float | None) -> float | None:
    """Seconds that a trial takes to its last epoch: of the completed ones, else as expected."""
    done = [
        row["accelerator_s"] / row["num_workers"]
        for row in tables.trials.rows
        if row["status"] == "completed" and row["accelerator_s"] and row["num_workers"]
    ]
    return median(done) if done else expected_s


def begun(search: Search) -> list[dict[str, Any]]:
    """The rows of a search's trials table; none where it has none yet."""
    there = search.storage.exists(DESCRIPTION) and search.storage.exists("trials")
    return read_rows(search.storage, "trials") if there else []


def wants_plain(search: Search, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the plain baseline is still to be begun.

    Not in a study of the version before, whose second trial is another one.

    Args:
        rows: of its trials table.
    """
    storage = search.storage
    if not has_plain(search.settings.search):
        return False
    if not storage.exists(DESCRIPTION):
        return True
    before = read_description(storage)["settings"]
    known = {row["trial_id"] for row in rows}
    return "search.plain_baseline" in before and PLAIN_ID not in known


def nothing_left(search: Search) -> int | None:
    """Show a study whose trials have all ended, or its time; None when there is more to do."""
    tables, config = search.tables(), search.settings.search
    limits = limits_of(search, tables.trials.rows)
    if limits.there >= config.num_samples:
        said, over = f"all {limits.there} trials ended before; --num-samples adds more", False
    elif config.budget_s is not None and limits.used_s + ENDING_S >= config.budget_s:
        said, over = f"--budget {as_time(config.budget_s)} is used up; a larger one goes on", True
    elif config.time_budget_s is not None and limits.used_s >= config.time_budget_s:
        limit = as_time(config.time_budget_s)
        said, over = f"--time-budget-s {limit} is used up; a larger one goes on", True
    else:
        return None
    make_console().out(f"{search.name}: {said}")
    return show_outcome(tables, config, 0.0, started=search.started, came=over)


def show_outcome(
    tables: StudyTables,
    search: SearchConfig,
    elapsed_s: float,
    *,
    started: float,
    left_s: float | None = None,
    came: bool = False,
    again: str | None = None,
) -> int:
    """Show what came out; the exit status is 0 when at least one trial was completed.

    Args:
        elapsed_s: since the first trial began now.
        started: the command, by the monotonic clock.
        left_s: of its time; none: it has all the time.
        came: it ended because its time is over.
        again: as `Search` has it.
    """
    console, rows = make_console(), tables.trials.rows
    counts = Counter(row["status"] for row in rows)
    states = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    # One that was interrupted while its actors still started has no interrupted trial.
    left = trials_left(tables, search)
    why = why_ended(search, left, left_s, came=came)
    say(console, f"\n{how_many(rows, 'trials', elapsed_s)}: {states}{why}\n")
    _show_trials(tables, console)
    tell(**outcome(tables, time.monotonic() - started))
    if counts["completed"] and (left <= 0 or came) and again is None:
        console.out(next_text(as_argument(tables.storage.location)))
    if left > 0:
        more = " and more time" if came else ""
        console.out(f"\nto go on: {again or f'the same command with --name {tables.name}'}{more}")
    plain = held_against_plain(rows, tables.objectives, tables.members)
    if plain is not None:
        say(console, f"\n{plain.words}")
    if left > 0 and not came:
        return INTERRUPTED
    return 0 if counts["completed"] or left > 0 else FAILED


def _show_answers(tables: StudyTables, console: Console) -> None:
    """What the search says of each dimension, from all its trials."""
    trials, epochs, _ = load_tables(tables.storage)
    objective = parse_objective(read_description(tables.storage)["settings"]["objective"])
    answers = study_answers(trials, epochs, objective)
    if answers:
        say(console, f"answers, from {answers[0].n} trials, on {objective.name}")
        for line in sentences(answers, objective):
            say(console, f"  {printable_line(line)}")
        console.print()


def _show_trials(tables: StudyTables, console: Console) -> None:
    """The best trials, the front of several objectives, the first failure, and where all is."""
    rows, storage = tables.trials.rows, tables.storage
    if any(row["epochs_done"] for row in rows):
        order = ranked(rows, tables.objectives)
        best = called_best(order, tables.objectives, tables.members, trials=rows)
        console.print(best_table(rows, tables.objectives, best))
        console.print()
    _show_answers(tables, console)
    if len(tables.objectives) > 1 and any(row["status"] == "completed" for row in rows):
        console.print(front_table(front(rows, tables.member_rows(), tables.objectives)))
        console.print()
    cost = pruning_cost(rows, tables.objectives)
    if cost:
        say(console, f"{cost}\n")
    failed = next((row for row in rows if row["status"] == "failed"), None)
    if failed is not None:
        error = printable_line(f"{failed['error_type']}: {failed['error']}")
        say(console, f"{failed['trial_id']} failed: {error}")
        console.out(f"all messages: column error of the trials table; {log_file(storage)}\n")
    console.out(where_text(storage.location, storage.child("trials").location))
