"""A list of trainings behind Ray Tune, in its order: nothing is searched, nothing is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.tune.search import Searcher

from ffl_ray.config.objectives import VALUE


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
