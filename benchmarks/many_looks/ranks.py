"""Whether looks order the points of a group as real trainings do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau, spearmanr

Scores = Float[np.ndarray, "points"]
Correlation = Callable[[Scores, Scores], float]
DRAWS = 10_000
ASKED = 0.7


class Ranked(NamedTuple):
    """One group.

    Attributes:
        looks: what the looks made of its points, at one epoch.
        real: what its trainings were worth at their end.
        early: the same at the epoch of the looks.
    """

    looks: Scores
    real: Float[np.ndarray, "points seeds"]
    early: Float[np.ndarray, "points seeds"]


class Mean(NamedTuple):
    """A mean over groups with its 95% interval, a bootstrap over the groups."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    @property
    def verdict(self) -> str:
        """Whether it is at least what is asked."""
        if self.low >= ASKED:
            return "reached"
        return "missed" if self.high < ASKED else "not told"


def spearman(one: Scores, other: Scores) -> float:
    """Spearman's rank correlation; 0 where all values of one are the same: it tells nothing."""
    return _told(spearmanr, one, other)


def kendall(one: Scores, other: Scores) -> float:
    """Kendall's tau-b; 0 where all values of one are the same."""
    return _told(kendalltau, one, other)


def _told(correlation: Callable[..., Any], one: Scores, other: Scores) -> float:
    if len(set(one)) == 1 or len(set(other)) == 1:
        return 0.0
    return float(correlation(one, other).statistic)


def mean_of(values: Sequence[float], seed: int = 0) -> Mean:
    """The mean of a value of each group; one group alone may be anywhere."""
    if len(values) == 1:
        return Mean(values[0], -1.0, 1.0)
    drawn = np.random.default_rng(seed).choice(values, (DRAWS, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Mean(float(np.mean(values)), float(low), float(high))


def with_all(groups: Sequence[Ranked], correlation: Correlation = spearman) -> list[float]:
    """Of each group the looks' correlation with the mean over all seeds."""
    return [correlation(group.looks, group.real.mean(axis=1)) for group in groups]


def with_the_rest(groups: Sequence[Ranked], told: Callable[[Ranked, int], Scores]) -> list[float]:
    """Of each group the correlation of something with the mean over all seeds but one, averaged
    over that one.

    Args:
        told: gives it, of a group and the place of the seed that is left out.
    """
    return [
        float(
            np.mean(
                [
                    spearman(told(group, seed), np.delete(group.real, seed, axis=1).mean(axis=1))
                    for seed in range(group.real.shape[1])
                ]
            )
        )
        for group in groups
    ]


def by_looks(group: Ranked, seed: int) -> Scores:
    """What the looks say."""
    return group.looks


def by_seed(group: Ranked, seed: int) -> Scores:
    """What real trainings of one seed say at their end."""
    return group.real[:, seed]


def by_early(group: Ranked, seed: int) -> Scores:
    """What real trainings of one seed say at the epoch of the looks."""
    return group.early[:, seed]


def by_others(groups: Sequence[Ranked]) -> list[float]:
    """Of each group the correlation of what the real trainings of all others say with its own.

    Groups are put beside each other by their points' ranks. A group without others is told nothing.
    """
    if len(groups) == 1:
        return [0.0]
    ranks = np.array([group.real.mean(axis=1).argsort().argsort() for group in groups])
    return [
        spearman(np.delete(ranks, place, axis=0).mean(axis=0), group.real.mean(axis=1))
        for place, group in enumerate(groups)
    ]


def noise_free(agreement: float, seeds: int) -> float:
    """The correlation of the truth with the mean over so many seeds, of which two correlate so.

    The square root of the mean's reliability: Spearman 1910, Brown 1910 (British Journal of
    Psychology 3). It holds for correlations of values, and nearly so for those of ranks.
    """
    reliability = seeds * agreement / (1 + (seeds - 1) * agreement)
    return math.sqrt(max(0.0, reliability))


def without(groups: Sequence[Ranked], place: int) -> list[Ranked]:
    """The groups with one of their points left out."""
    return [Ranked(*(np.delete(values, place, axis=0) for values in group)) for group in groups]
