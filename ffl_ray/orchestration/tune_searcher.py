"""Ray Tune's form of a searcher."""

from __future__ import annotations

from typing import Any, cast

from ray.tune.search import Searcher

from ffl_ray.config.objectives import VALUE
from ffl_ray.orchestration.time_budget import Deadline
from ffl_ray.search.searcher import StudySearcher


class TuneSearcher(Searcher):
    """A study's searcher as Tune calls it.

    Tune pickles it into its own state, which is never used: the tables hold everything from which
    the study is made again.

    Args:
        deadline: of the search; trials that would not end before it do not begin.
    """

    def __init__(self, searcher: StudySearcher, deadline: Deadline | None = None) -> None:
        super().__init__(metric=VALUE, mode="max")
        self._searcher = searcher
        self._deadline = deadline

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        deadline = self._deadline
        if deadline is None or self._searcher.has_unfinished or deadline.may_begin():
            return self._searcher.suggest(trial_id)
        return cast(None, self.FINISHED)  # a text, which the types of Tune leave out

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._searcher.on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._searcher.on_trial_complete(trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass
