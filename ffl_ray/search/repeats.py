"""Repeats: a training that a search has had is passed over, or made with the next seed.

The same settings with the same seed are the same training to the bit: its seconds are lost, and
whoever counts trials takes it for a second observation. Points that differ in what their method
does not read are one training too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import MOST_SEEDS, ResolvedConfig
from ffl_ray.results.columns import PLAIN
from ffl_ray.results.history import PastTrial
from ffl_ray.results.schema import config_columns
from ffl_ray.results.trainings import training_key

# By how much a training that was had breaks a bound: less than any that a network breaks.
REPEATED = 1e-9
# Trials for which others are looked for: a sampler is asked by a copy of the study, which grows.
LOOKED_FOR = 500


class Repeats:
    """The trainings that a search has had, by their settings, and the seeds of each.

    Args:
        past: trials of an earlier run.
    """

    def __init__(self, past: Iterable[PastTrial]) -> None:
        self._had: dict[str, set[int]] = {}
        self._have_ended = False
        for trial in past:
            if trial.baseline != PLAIN:
                self._had.setdefault(trial.training, set()).add(trial.seed)

    def are_passed_over(self, number: int) -> bool:
        """Whether another training is looked for in place of one that was had, for a trial."""
        return number < LOOKED_FOR and not self._have_ended

    def excess(self, config: ResolvedConfig) -> float:
        """By how much a training breaks the rule that it is new; 0: it is."""
        return REPEATED if config.seed in self._seeds(config) else 0.0

    def end(self, excess: float) -> None:
        """Take repeats as they come from now on, if the best that was drawn is one."""
        self._have_ended |= excess == REPEATED

    def begun(self, config: ResolvedConfig, params: Mapping[str, Any]) -> ResolvedConfig:
        """The config of a trial that begins: with the next seed that its training has not had.

        Args:
            params: of its point; a seed among them stays.
        """
        had, seed = self._seeds(config), config.seed
        while seed in had and "seed" not in params:
            seed = (seed + 1) % MOST_SEEDS
        had.add(seed)
        return config if seed == config.seed else with_overrides(config, {"seed": seed})

    def _seeds(self, config: ResolvedConfig) -> set[int]:
        return self._had.setdefault(training_key(config_columns(config)), set())
