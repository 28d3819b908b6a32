"""A Gaussian process over points: what a training there would end with, as far as trials tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import expit

from benchmarks.freeze_thaw.curves import Array, Ints

TRIES = 10


class Told(NamedTuple):
    """What trials tell of their ends.

    Attributes:
        places: (trials,) their points.
        ends: (trials,) an end each.
        variances: (trials,) how uncertain it is; nothing of a completed trial.
        mean: of all ends.
        spread: their variance.
    """

    places: Ints
    ends: Array
    variances: Array
    mean: float
    spread: float


class Belief(NamedTuple):
    """What is believed of a point's worth: the mean of its trainings' ends.

    Attributes:
        mean: (points,).
        variance: (points,).
        seeds: variance of a training's end around its point's worth.
    """

    mean: Array
    variance: Array
    seeds: float


class Process:
    """The process and its hyperparameters: a length for each setting, and the share of seeds.

    The kernel is the product over settings of exp(-distance / length), of which a share is the
    points' and the rest the seeds'. Hyperparameters have a lognormal prior around 1; of some drawn
    ones the most probable stay.

    Args:
        distances: (settings, points, points).
        generator: draws hyperparameters.
    """

    def __init__(self, distances: Array, generator: np.random.Generator) -> None:
        self._distances = distances
        self._generator = generator
        self._chosen = np.array([0.0] * len(distances) + [0.5])

    def learn(self, told: Told) -> None:
        """Choose hyperparameters anew: near the present ones, and from their prior."""
        size = len(self._chosen)
        draws = self._generator.normal(size=(TRIES, size))
        near = self._chosen + 0.7 * draws[: 2 * TRIES // 3]
        tried = [self._chosen, *near, *draws[2 * TRIES // 3 :]]
        self._chosen = max(tried, key=lambda one: self._log_posterior(one, told))

    def believe(self, told: Told) -> Belief:
        """The posterior of every point's worth."""
        share = expit(self._chosen[-1])
        everywhere = told.spread * share * _correlation(self._chosen, self._distances)
        within = everywhere[np.ix_(told.places, told.places)]
        seeds = told.spread * (1 - share)
        factor = np.linalg.cholesky(within + np.diag(told.variances + seeds))
        solved, mean = _centred(factor, told)
        projected = solve_triangular(factor, everywhere[told.places], lower=True)
        variance = np.diag(everywhere) - (projected**2).sum(axis=0)
        return Belief(mean + solved @ projected, np.maximum(variance, 1e-9), seeds)

    def _log_posterior(self, chosen: Array, told: Told) -> float:
        share = expit(chosen[-1])
        among = self._distances[:, told.places[:, None], told.places]
        within = _correlation(chosen, among)
        seeds = told.variances + told.spread * (1 - share)
        factor = np.linalg.cholesky(told.spread * share * within + np.diag(seeds))
        solved, _ = _centred(factor, told)
        prior = (chosen[:-1] ** 2).sum() / 2 + (chosen[-1] - 1) ** 2 / 4
        return float(-solved @ solved / 2 - np.log(np.diag(factor)).sum() - prior)


def _correlation(chosen: Array, distances: Array) -> Array:
    return np.asarray(np.exp(-np.tensordot(np.exp(-chosen[:-1]), distances, axes=1)))


def _centred(factor: Array, told: Told) -> tuple[Array, float]:
    """The whitened ends less their mean, and that mean, by generalised least squares."""
    both = np.stack([told.ends, np.ones(len(told.ends))], axis=1)
    ends, ones = solve_triangular(factor, both, lower=True).T
    mean = (ones @ ends + told.mean / told.spread) / (ones @ ones + 1 / told.spread)
    return ends - mean * ones, float(mean)
