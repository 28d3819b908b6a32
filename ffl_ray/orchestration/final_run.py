"""A final training as it is asked for, and which of a list are still to be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.results.rows import StudyRows
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables


class FinalRun(NamedTuple):
    """One training of a list.

    Attributes:
        run_id: names it in the study for good: five digits, `00000` the first.
        label: what a person calls it.
        config: its settings, nothing left to the method.
    """

    run_id: str
    label: str
    config: ResolvedConfig


def waiting_runs(
    tables: StudyRows, runs: Sequence[FinalRun], *, failed: bool = True
) -> list[FinalRun]:
    """Those that are not completed: not begun, interrupted, or failed.

    Args:
        failed: those too, which begin again where they are asked for again.
    """
    over = ("completed",) if failed else ("completed", "failed")
    done = {row["trial_id"] for row in tables.trials.rows if row["status"] in over}
    return [run for run in runs if run.run_id not in done]


def completed_tables(storage: Storage, name: str, runs: Sequence[FinalRun]) -> StudyTables | None:
    """The tables of a study in which all these runs are completed; None while some wait."""
    tables = StudyTables(storage, name)
    return None if waiting_runs(tables, runs) else tables
