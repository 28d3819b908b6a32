"""A list of trainings behind Ray Tune, in its order: nothing is searched, nothing is stopped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ray.tune.search import Searcher

from ffl_ray.config.objectives import VALUE
from ffl_ray.orchestration.retention import FOLDER, GOES_ON
from ffl_ray.results.storage.storage import Storage

Row = dict[str, Any]


class FixedRuns(Searcher):
    """Tune's searcher that proposes one job after the other.

    Args:
        jobs: what Tune's function is given for each.
    """

    def __init__(self, jobs: Sequence[dict[str, Any]]) -> None:
        super().__init__(metric=VALUE, mode="max")
        self._jobs = list(jobs)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next job; Tune asks for as many as there are."""
        return self._jobs.pop(0) if self._jobs else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing is learned."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the tables say what is done."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as `save`."""


class LatestKeeper:
    """Keeps the latest checkpoint of unfinished runs, and of a few completed ones.

    Args:
        storage: of the study.
        keep: ids of the runs that keep theirs once they are completed.
    """

    def __init__(self, storage: Storage, keep: Collection[str]) -> None:
        self._storage = storage
        self._keep = frozenset(keep)
        self._stored = set(storage.names(FOLDER))

    def look(self) -> None:
        """See what is really there."""
        self._stored = set(self._storage.names(FOLDER))

    def started(self, trial_id: str) -> None:
        """A run will write checkpoints."""
        self._stored.add(trial_id)

    def tidy(self, rows: Iterable[Row]) -> None:
        """Delete the checkpoints of ended runs that are not to be kept."""
        statuses = {row["trial_id"]: row["status"] for row in rows}
        for trial_id in sorted(self._stored):
            status = statuses.get(trial_id)
            kept = status == "completed" and trial_id in self._keep
            if status not in GOES_ON and not kept:
                self._storage.delete(f"{FOLDER}/{trial_id}")
                self._stored.discard(trial_id)
