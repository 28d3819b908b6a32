"""Private names of Optuna that we need, each with its source, in this file alone."""

from __future__ import annotations

from typing import Any

import optuna

# https://github.com/optuna/optuna/blob/v5.0.0/optuna/_transform.py
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial


class CmaEsSampler(optuna.samplers.CmaEsSampler):
    """CMA-ES whose optimiser is made again from the trials of each full generation.

    Optuna keeps it as a pickle among a trial's attributes and unpickles the last one it finds
    (`_restore_optimizer`, https://github.com/optuna/optuna/blob/v5.0.0/optuna/samplers/_cmaes.py).
    All that it learns from is in the trials: their generation, parameters and values.
    """

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """As Optuna's own."""
        self._known = study, search_space
        return super().sample_relative(study, trial, search_space)

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        study, search_space = self._known
        space = _SearchSpaceTransform(search_space, transform_step=True, transform_0_1=True)
        sign = 1.0 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1.0
        drawn = self._cma_rng.rng.get_state()
        optimizer = self._init_optimizer(space, study.direction)
        if any(trial.system_attrs.get(self._attr_key_generation) for trial in completed_trials):
            self._cma_rng.rng.set_state(drawn)  # Optuna's would not have been made anew
        while True:
            trials = self._get_solution_trials(completed_trials, optimizer.generation)
            if len(trials) < optimizer.population_size:
                return optimizer
            optimizer.tell(
                [
                    (space.transform(trial.params), sign * trial.values[0])
                    for trial in trials[: optimizer.population_size]
                ]
            )
