"""An excerpt of a long study, from which TPE proposes in a time that does not grow.

TPE holds the density of the best trials, a tenth of all and 25 at most, against that of all others,
and takes 15 ms more for every thousand. The excerpt has the best ones, and of the others as many,
drawn at random, as make these a tenth of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from ffl_ray.config.settings import SearchConfig
from ffl_ray.search.distributions import Suggest
from ffl_ray.search.optuna_private import best_and_others
from ffl_ray.search.samplers import new_sampler

LONG = 1000
BEST, SIZE = 20, 200
# The excerpt is made again when this share of new trials has ended.
GROWTH = 0.01


class Excerpt:
    """The excerpt of a study that may have grown long.

    Args:
        study: as it grows.
        search: its sampler and seed.
    """

    def __init__(self, study: optuna.Study, search: SearchConfig) -> None:
        self._study = study
        self._search = search
        self._made: optuna.Study | None = None
        self._made_at = 0

    def at(self, number: int) -> optuna.Study | None:
        """The excerpt for the trial of this number; none while the study is short, or not TPE's."""
        if self._search.sampler != "tpe" or number < LONG:
            return None
        if self._made is None or number >= self._made_at * (1 + GROWTH):
            self._made, self._made_at = self._make(number), number
        return self._made

    def propose(self, suggest: Suggest, number: int) -> Mapping[str, Any]:
        """A point for the trial of this number; nothing where there is no excerpt.

        The points that it proposed lately count as running ones, which it keeps away from.
        """
        study = self.at(number)
        if study is None:
            return {}
        study.sampler = new_sampler(self._search, number)
        trial = study.ask()
        suggest(trial)
        return trial.params

    def _make(self, number: int) -> optuna.Study:
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        ended = self._study.get_trials(deepcopy=False, states=states)
        best, others = best_and_others(self._study, ended, BEST)
        generator = np.random.default_rng((self._search.seed, number))
        count = min(len(others), SIZE - len(best))
        drawn = generator.permutation(len(others))[:count]
        kept: list[FrozenTrial] = sorted(
            [*best, *(others[i] for i in drawn)], key=lambda trial: trial.number
        )
        made = optuna.create_study(directions=self._study.directions)
        made.add_trials(kept)
        return made
