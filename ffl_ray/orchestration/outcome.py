"""What came out of a search, as the fields of a JSON object."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ffl_ray.console.terminal import duration
from ffl_ray.results.best import called_best, latest_members, ranked
from ffl_ray.results.pareto import front
from ffl_ray.results.study import StudyTables

Row = Mapping[str, Any]
TRIAL = ("trial_id", "status", "epochs_done", "model.mix", "distill.method", "accelerator_s")


def how_many(rows: Sequence[Row], what: str, elapsed_s: float) -> str:
    """How many there are, and in which time how many of them ended.

    Args:
        rows: of the trials table.
        what: they are, such as trials.
        elapsed_s: since the first of them began now.
    """
    begun = datetime.now(UTC) - timedelta(seconds=elapsed_s)
    now = sum(row["ended"] is not None and row["ended"] >= begun for row in rows)
    if not now:
        return f"{len(rows)} {what}"
    of_them = f", {now} of them" if now < len(rows) else ""
    return f"{len(rows)} {what}{of_them} in {duration(elapsed_s)}"


def outcome(tables: StudyTables, elapsed_s: float) -> dict[str, Any]:
    """The state of a search: its trials counted, the best one, and the front of several objectives.

    Args:
        elapsed_s: seconds that the command took.
    """
    rows, objectives = tables.trials.rows, tables.objectives
    order = ranked(rows, objectives)
    called = called_best(order, objectives, tables.members)
    best = order[0] if called is None and order else None
    if called is not None:
        best = tables.trials[called.trial_id]
    several = len(objectives) > 1 and bool(order)
    return {
        "study": tables.name,
        "location": tables.storage.location,
        "seconds": elapsed_s,
        "trials": Counter(row["status"] for row in rows),
        "objectives": [objective.name for objective in objectives],
        "best": best and _trial(best, tables),
        "front": front(rows, tables.member_rows(), objectives) if several else [],
    }


def _trial(row: Row, tables: StudyTables) -> dict[str, Any]:
    """A trial with what was drawn for it, its objectives, and its members after the last epoch."""
    names = [objective.name for objective in tables.objectives]
    return {
        **{name: row.get(name) for name in TRIAL},
        "params": json.loads(row.get("params") or "{}"),
        "values": dict(zip(names, row["objective_values"] or [], strict=False)),
        "members": latest_members(tables.members, row["trial_id"]),
    }
