"""A race: seeds are added where a verdict is still open.

What is trained next follows from what has completed, seed by seed, and from nothing else: a race
that was killed goes on to the same verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ffl_ray.confirm.confirmation import Confirmation, compared_rows, measured_runs
from ffl_ray.confirm.tables import Row
from ffl_ray.errors import INTERRUPTED
from ffl_ray.orchestration.final_run import FinalRun, waiting_runs
from ffl_ray.results.rows import StudyRows
from ffl_ray.results.verdicts import CLOSED


def rounds(confirmation: Confirmation, tables: StudyRows) -> Iterator[list[FinalRun]]:
    """The trainings of each round; the one after it follows from what they measured.

    The first has of all arms the seeds of the first look, each other one a seed of those arms that
    are in a comparison whose verdict on accuracy is open. Without a race there is one round of all.
    """
    if not confirmation.race:
        yield confirmation.final_runs
        return
    seeds = confirmation.seeds
    arms = {arm.name for arm in confirmation.arms}
    first = confirmation.looked.first
    new = seeds[:first]
    for count in range(first, len(seeds) + 1):
        ids = {run.run_id for run in confirmation.runs if run.seed in new and run.arm in arms}
        yield [run for run in confirmation.final_runs if run.run_id in ids]
        arms = open_arms(_rows_after(confirmation, tables, seeds[:count]))
        if not arms:
            return
        new = seeds[count : count + 1]


def every_round(
    confirmation: Confirmation, tables: StudyRows, train: Callable[[int, list[FinalRun]], int]
) -> int:
    """Train every round, those after one in which a training failed too; the exit status.

    What failed before begins again, but for those without which a verdict was given.

    Args:
        train: trains a round of this number, from 1, and gives its exit status.
    """
    ended, given = 0, given_without(confirmation, tables)
    for number, runs in enumerate(rounds(confirmation, tables), start=1):
        status = train(number, [run for run in runs if run.run_id not in given])
        if status == INTERRUPTED:
            return status
        ended = ended or status
    return ended


def _rows_after(confirmation: Confirmation, tables: StudyRows, seeds: Sequence[int]) -> list[Row]:
    """The comparisons of these seeds alone."""
    runs = [run for run in confirmation.runs if run.seed in seeds]
    return compared_rows(confirmation, measured_runs(tables, runs))


def open_arms(comparisons: Sequence[Row]) -> set[str]:
    """The arms on both sides of those comparisons whose verdict on accuracy is open.

    One of which a side failed with every seed of the first look is not: no seed of the other helps.
    """
    still = [
        row for row in comparisons if row["metric"] == "accuracy" and row["verdict"] not in CLOSED
    ]
    return {row[side] for row in still for side in ("arm", "baseline")}


def still_waiting(
    confirmation: Confirmation, tables: StudyRows, *, failed: bool = True
) -> list[FinalRun]:
    """The trainings of the round that is under way; none: there is no round left.

    Args:
        failed: those too, as `waiting_runs` has it: verdicts wait for them no more.
    """
    given = given_without(confirmation, tables) if failed else set()
    for runs in rounds(confirmation, tables):
        left = [run for run in runs if run.run_id not in given]
        waiting = waiting_runs(tables, left, failed=failed)
        if waiting:
            return waiting
    return []


def given_without(confirmation: Confirmation, tables: StudyRows) -> set[str]:
    """The failed trainings of a race that are not begun again: a verdict was given without them.

    With them each look would be at other seeds than it was, and what was decided might not be.
    """
    failed = {row["trial_id"] for row in tables.trials.rows if row["status"] == "failed"}
    given: set[str] = set()
    if not confirmation.race or not failed:
        return given
    first = confirmation.looked.first
    for count, runs in enumerate(rounds(confirmation, tables), start=first):
        if waiting_runs(tables, runs, failed=False):
            break
        seeds = confirmation.seeds[:count]
        rows = [row for row in _rows_after(confirmation, tables, seeds) if row["n"] >= first]
        judged = {row[side] for row in rows for side in ("arm", "baseline")}
        some = (run for run in confirmation.runs if run.seed in seeds and run.arm in judged)
        given |= {run.run_id for run in some if run.run_id in failed}
    return given


def given_words(confirmation: Confirmation, tables: StudyRows) -> str:
    """How many failed trainings are not begun again, in a sentence; empty: none is so."""
    count = len(given_without(confirmation, tables))
    them = f"{count} of the failed trainings are" if count > 1 else "One failed training is"
    return f"{them} not begun again: verdicts were given without." if count else ""
