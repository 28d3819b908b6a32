"""Repeats: a point that a search has had is passed over, or trained with the next seed.

The same point with the same seed is the same training to the bit: its seconds are lost, and whoever
counts trials takes it for a second observation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import MOST_SEEDS, ResolvedConfig
from ffl_ray.results.columns import BASELINE, PLAIN
from ffl_ray.results.history import PastTrial
from ffl_ray.search.grid import key_of

# By how much a point that was had breaks a bound: less than any that a network breaks.
REPEATED = 1e-9


class Repeats:
    """The points that a search has had.

    Args:
        seed: of the search's trials, unless their space gives them seeds of their own.
        trials: of the search as Optuna has them.
        past: those of them that are in the tables.
    """

    def __init__(self, seed: int, trials: Sequence[FrozenTrial], past: Iterable[PastTrial]) -> None:
        self._seed = seed
        self._counts: Counter[str] = Counter()
        self._are_possible = False
        self._own_seeds = False
        seeds = {int(one.trial_id): one.config.seed for one in past if one.config is not None}
        for trial in trials:
            begun = trial.number in seeds and trial.user_attrs.get(BASELINE) != PLAIN
            if begun or trial.params:
                self._note(trial, seeds.get(trial.number, seed))

    @property
    def are_possible(self) -> bool:
        """Whether a sampler may propose again what was had, and something else instead."""
        return self._are_possible and not self._own_seeds

    @property
    def points(self) -> Collection[str]:
        """`key_of` every point."""
        return self._counts.keys()

    def excess(self, trial: optuna.Trial) -> float:
        """By how much a drawn point breaks the rule that it is new; 0: it is."""
        return REPEATED if not self._own_seeds and key_of(trial.params) in self._counts else 0.0

    def end(self, excess: float) -> None:
        """Take repeats as they come from now on, if the best that was drawn is one."""
        self._are_possible &= excess != REPEATED

    def seeded(self, trial: optuna.Trial, config: ResolvedConfig) -> ResolvedConfig:
        """The config of a trial that begins, with the next seed if its point was had."""
        count = self._counts[key_of(trial.params)]
        self._note(trial, config.seed)
        if count == 0 or self._own_seeds or "seed" in trial.params:
            return config
        return with_overrides(config, {"seed": (config.seed + count) % MOST_SEEDS})

    def _note(self, trial: optuna.Trial | FrozenTrial, seed: int) -> None:
        key, kinds = key_of(trial.params), trial.distributions.values()
        expected = (self._seed, (self._seed + self._counts[key]) % MOST_SEEDS)
        self._own_seeds |= "seed" not in trial.params and seed not in expected
        self._are_possible |= not any(
            isinstance(kind, FloatDistribution) and kind.step is None for kind in kinds
        )
        self._counts[key] += 1
