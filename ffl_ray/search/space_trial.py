"""A trial as a search space sees it: choices that are no plain values, and whole mixes.

Optuna and the tables keep None, bools, numbers and texts. A tuple would come back from them as a
list, which is another choice: the study could not go on. And Optuna draws one parameter after the
other, each in a range of its own: it has no word for counts that have a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial

from ffl_ray.results.schema import kept_choice
from ffl_ray.search.mix import NUM_BRANCHES, PREFIX, multiset, nearest_multiset, num_multisets


class SpaceTrial(optuna.Trial):
    """A trial whose choices are drawn as the tables keep them, and whose mixes are whole.

    Attributes:
        backbones: that its mixes are drawn from, whatever the space says; none: the space's.
    """

    backbones: Sequence[str] = ()

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices, as it was given."""
        given = list(choices)
        kept = [kept_choice(choice) for choice in given]
        return given[kept.index(super().suggest_categorical(name, kept))]

    def kinds(self, backbones: Sequence[str]) -> Sequence[str]:
        """The backbones of a mix: the space's, unless the search has its own."""
        return self.backbones or backbones

    def suggest_counts(self, least: int, most: int, backbones: Sequence[str]) -> list[int]:
        """How many branches of each backbone: the multiset nearest to what the sampler proposes.

        Where it proposes nothing, any multiset of a size is as likely as another.
        """
        names = [f"{PREFIX}{name}" for name in backbones]
        size = self.suggest_int(NUM_BRANCHES, least, most)
        if self._known().system_attrs.get("fixed_params", {}).keys() >= set(names):
            return [self.suggest_int(name, 0, most) for name in names]
        proposed = self.relative_params
        if proposed.keys() & set(names):
            drawn = [
                proposed[name] if name in proposed else self._draw(name, 0, most) for name in names
            ]
            counts = nearest_multiset(size, drawn)
        else:
            kinds = len(names)
            rank = self._draw(PREFIX, 0, num_multisets(size, kinds) - 1)
            counts = multiset(rank, size, kinds)
        return [self._noted(name, count, most) for name, count in zip(names, counts, strict=True)]

    def _draw(self, name: str, low: int, high: int) -> int:
        """A number that the sampler draws by itself, and that is no parameter."""
        kind = IntDistribution(low, high)
        return int(self.study.sampler.sample_independent(self.study, self._known(), name, kind))

    def _known(self) -> FrozenTrial:
        """What its study has of it."""
        return self.study.get_trials(deepcopy=False)[self.number]

    def _noted(self, name: str, count: int, most: int) -> int:
        """A count as the parameter that Optuna knows."""
        self.relative_params[name] = count
        assert self.relative_search_space is not None, "it is known with the parameters"
        self.relative_search_space[name] = IntDistribution(0, most)
        return self.suggest_int(name, 0, most)


def as_space_trial(trial: optuna.Trial, backbones: Sequence[str] = ()) -> SpaceTrial:
    """The same trial, as a search space shall see it.

    Args:
        backbones: that its mixes are drawn from; none: those that the space names.
    """
    made = SpaceTrial.__new__(SpaceTrial)
    made.__dict__ = trial.__dict__
    if backbones:
        made.backbones = backbones
    return made
