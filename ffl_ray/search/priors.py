"""Priors of a space: where its author believes that the best values lie.

They shape what is drawn at random, before a sampler knows enough to draw by itself: half of the
draws of such a parameter come from its prior, and half from its whole range, so that a wrong
belief costs little (Mallik et al. 2023, "PriorBand", arXiv:2306.12370, mix them likewise).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from ffl_ray.config.overrides import shown
from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import SpaceError
from ffl_ray.search.distributions import nearest_value, range_text

Priors = Mapping[str, Any]
BELIEVED = 0.5
# Standard deviation of a number around the believed one, as a share of the range.
SPREAD = 0.25
MOST_WEIGHT = 1e300


class WithPriors(BaseSampler):
    """A sampler whose random draws follow the priors of a space.

    Args:
        of: the sampler.
        priors: by parameter: the believed number, or choices with their weights.
        search: its sampler's name, and how many trials it draws at random first.
    """

    def __init__(self, of: BaseSampler, priors: Priors, search: SearchConfig) -> None:
        self._of = of
        self._priors = priors
        self._search = search

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._of.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if param_name in self._priors and self._is_random(study):
            number = FloatDistribution(0, 1)
            drawn = self._of.sample_independent(study, trial, "prior", number)
            generator = np.random.default_rng(int(drawn * 2**52))
            if generator.random() < BELIEVED:
                return draw(self._priors[param_name], param_distribution, generator)
        return self._of.sample_independent(study, trial, param_name, param_distribution)

    def _is_random(self, study: optuna.Study) -> bool:
        """Whether the sampler draws this at random, and does not model it."""
        if self._search.sampler in ("random", "nsga2"):
            return True
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        known = len(study.get_trials(deepcopy=False, states=states))
        return known < self._search.startup_trials

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._of.before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._of.after_trial(study, trial, state, values)


def draw(prior: Any, kind: Any, generator: np.random.Generator) -> Any:
    """A value from a prior, inside a distribution."""
    if isinstance(kind, CategoricalDistribution):
        weights = np.array([float(prior.get(choice, 0)) for choice in kind.choices])
        return kind.choices[int(generator.choice(len(weights), p=weights / weights.sum()))]
    scale, back = (math.log, math.exp) if kind.log else (float, float)
    low, high, centre = scale(kind.low), scale(kind.high), scale(prior)
    for _ in range(100):
        value = generator.normal(centre, SPREAD * (high - low))
        if low <= value <= high:
            return nearest_value(kind, back(value))
    return nearest_value(kind, prior)


def check_priors(
    priors: object, found: Mapping[str, Sequence[BaseDistribution]], path: str
) -> None:
    """Check that every prior is one of a searched parameter.

    Args:
        found: the distributions of each parameter of the space.
        path: of the space, for the message.

    Raises:
        SpaceError: it is not, or lies outside the parameter's range.
    """
    if not isinstance(priors, Mapping):
        raise SpaceError(
            f"{path}: PRIORS must map searched parameters to the believed number, or to choices "
            f"with their weights, not {shown(priors)[:100]}"
        )
    names = [name for name in found if not name.startswith("mix.")]
    for name, prior in priors.items():
        if name not in names:
            raise SpaceError(
                f"{path}: PRIORS must be of {', '.join(names)}, not of {str(name)[:100]!r}"
            )
        for kind in found[name]:
            if not _is_prior(prior, kind):
                raise SpaceError(
                    f"{path}: PRIORS of {name} must be "
                    f"{_wanted(kind)} ({range_text([kind])}), not {shown(prior)[:100]}"
                )


def _is_prior(prior: Any, kind: BaseDistribution) -> bool:
    if not isinstance(kind, CategoricalDistribution):
        number: Any = kind
        is_number = isinstance(prior, (int, float)) and not isinstance(prior, bool)
        return is_number and number.low <= prior <= number.high
    if not isinstance(prior, Mapping) or not prior.keys() <= set(kind.choices):
        return False
    weights = list(prior.values())
    return any(weights) and all(
        isinstance(weight, (int, float)) and 0 <= weight <= MOST_WEIGHT for weight in weights
    )


def _wanted(kind: BaseDistribution) -> str:
    if isinstance(kind, CategoricalDistribution):
        return "choices with their weights"
    return "a number in its range"
