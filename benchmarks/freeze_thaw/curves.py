"""What a curve says of its end: from each epoch a linear step to the next, learned from all trials.

A learning curve is taken for a Markov chain whose steps differ by epoch. Every trial that took a
step teaches it, also one that rests now: only who takes it was chosen, by what had been seen.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ffl_ray.config.objectives import Objective

Array = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
PRIOR_TRIALS, PRIOR_SLOPE = 3.0, 0.7
PRIOR_STEPS = 2.0
FENCE = 1.5
WORST = 20.0


def log_loss(value: float, objective: Objective) -> float:
    """The logarithm of a loss, or of an accuracy's distance to 1; what is no number is bad."""
    if not math.isfinite(value):
        return WORST
    return math.log(max(1.001 - value if objective.maximised else value, 1e-6))


def fenced(curves: Array) -> Array:
    """The curves, at each epoch no higher than a fence above the median.

    How bad the bad ones are would rule the variances, and says nothing of the good ones.

    Args:
        curves: (trials, epochs); NaN where an epoch is not trained.
    """
    fenced = curves.copy()
    for column in fenced.T:
        seen = ~np.isnan(column)
        if seen.sum() > 1:
            low, median = np.quantile(column[seen], [0.1, 0.5])
            column[seen] = np.minimum(column[seen], median + FENCE * (median - low))
    return fenced


class Ends(NamedTuple):
    """The end of a curve as its value after each epoch lets expect it: normal, (epochs,) each.

    Attributes:
        intercept: of the mean.
        slope: of the mean.
        variance: around it; nothing after the last epoch.
    """

    intercept: Array
    slope: Array
    variance: Array


def expected_ends(curves: Array) -> Ends:
    """The ends of curves, by the composition of the steps between their epochs.

    Each step is a ridge regression towards a slope below one (a value regresses to the mean).

    Args:
        curves: (trials, epochs); NaN where an epoch is not trained.
    """
    pairs = [
        (here[~np.isnan(after)], after[~np.isnan(after)])
        for here, after in zip(curves.T[:-1], curves.T[1:], strict=True)
    ]
    steps = [_step(*pair) for pair in pairs]
    taken = [len(here) for here, _ in pairs]
    pooled = sum(step[2] for step in steps) / max(1, sum(taken))
    epochs = curves.shape[1]
    ends = Ends(np.zeros(epochs), np.ones(epochs), np.zeros(epochs))
    for epoch in reversed(range(epochs - 1)):
        intercept, slope, squares = steps[epoch]
        spread = (squares + PRIOR_STEPS * pooled) / (taken[epoch] + PRIOR_STEPS)
        onwards = ends.slope[epoch + 1]
        ends.intercept[epoch] = ends.intercept[epoch + 1] + onwards * intercept
        ends.slope[epoch] = onwards * slope
        ends.variance[epoch] = ends.variance[epoch + 1] + onwards**2 * spread
    return ends


def _step(here: Array, after: Array) -> tuple[float, float, float]:
    """Intercept and slope of an epoch's step, and the sum of its squared residuals."""
    if not len(here):
        return 0.0, 1.0, 0.0
    deviations = here - here.mean()
    ridge = PRIOR_TRIALS * (here.var() + 1e-6)
    moment = float(deviations @ (after - after.mean()))
    slope = (moment + ridge * PRIOR_SLOPE) / (float(deviations @ deviations) + ridge)
    intercept = float(after.mean() - slope * here.mean())
    return intercept, slope, float(((after - intercept - slope * here) ** 2).sum())
