"""Checkpoints that stay: of running trials the latest and the best, of ended ones the top's best.

So a study holds at most `2 * trials at once + keep_checkpoints` checkpoint files, however many
trials it has (one trial more for the moment in which it ends).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ffl_ray.config.objectives import Objective, dominates
from ffl_ray.results.storage.storage import Storage

Row = dict[str, Any]
FOLDER = "checkpoints"
GOES_ON = ("running", "interrupted")


class Keeper:
    """Deletes the checkpoints that nobody needs any more.

    Args:
        storage: of the study.
        objectives: what the trials are ranked by.
        keep: ended trials that keep their best checkpoint.
    """

    def __init__(self, storage: Storage, objectives: Sequence[Objective], keep: int) -> None:
        self._storage = storage
        self._objectives = tuple(objectives)
        self._keep = keep
        self._stored = set(storage.names(FOLDER))

    def look(self) -> None:
        """See what is really there: a worker that was stopped may have written once more."""
        self._stored = set(self._storage.names(FOLDER))

    def started(self, trial_id: str) -> None:
        """A trial will write checkpoints."""
        self._stored.add(trial_id)

    def tidy(self, rows: Iterable[Row]) -> None:
        """Delete what the study's trials, with these rows, need no more."""
        rows = [row for row in rows if row["trial_id"] in self._stored]
        top = {row["trial_id"] for row in ranked(rows, self._objectives)[: self._keep]}
        going_on = {row["trial_id"] for row in rows if row["status"] in GOES_ON}
        for trial_id in sorted(self._stored - going_on):
            if trial_id in top:
                self._storage.delete(f"{FOLDER}/{trial_id}/latest.pt")
            else:
                self._storage.delete(f"{FOLDER}/{trial_id}")
                self._stored.discard(trial_id)


def ranked(rows: Iterable[Row], objectives: Sequence[Objective]) -> list[Row]:
    """The completed trials, best first.

    Of several objectives: first those that fewest others dominate (the front: none), then by the
    first objective.
    """
    completed = [row for row in rows if row["status"] == "completed" and row["objective_values"]]
    scores = [
        [o.score(v) for o, v in zip(objectives, row["objective_values"], strict=True)]
        for row in completed
    ]
    beaten = [sum(dominates(other, mine) for other in scores) for mine in scores]
    order = sorted(range(len(completed)), key=lambda i: (beaten[i], [-s for s in scores[i]]))
    return [completed[i] for i in order]
