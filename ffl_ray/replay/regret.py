"""Regret against accelerator-seconds, over repeats that are paired by their seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ffl_ray.replay.event_loop import Ended
from ffl_ray.search.product import Point

Array = np.ndarray[Any, np.dtype[np.float64]]
RESAMPLES = 2000
LOW, HIGH = 2.5, 97.5


class Ratio(NamedTuple):
    """How long a candidate takes to the reference's regret, over what that took.

    Attributes:
        value: of all repeats; infinite: it does not get there within the budget.
        low: end of the 95% interval, by the bootstrap over paired repeats.
        high: its other end.
    """

    value: float
    low: float
    high: float


def regret_curve(ended: Iterable[Ended], worth: Mapping[Point, float], times: Array) -> Array:
    """The regret of one search at each of these times.

    A search answers with the completed trial of the best score; its regret is what that point is
    worth less than the best one, over all seeds. Before the first trial is completed the answer is
    a point at random.
    """
    best = max(worth.values())
    regret = np.full(len(times), best - np.mean([*worth.values()]))
    top = -np.inf
    for trial in sorted(ended, key=lambda one: one.at_s):
        if trial.score is not None and trial.score > top:
            top = trial.score
            regret[times >= trial.at_s] = best - worth[trial.point]
    return regret


def first_at_most(curve: Array, target: float, times: Array) -> float:
    """The first time at which a curve is at most so high; infinite without one."""
    reached = np.flatnonzero(curve <= target)
    return float(times[reached[0]]) if len(reached) else np.inf


def seconds_ratio(ours: Array, theirs: Array, times: Array, after_s: float) -> Ratio:
    """Seconds that a candidate needs to the reference's mean regret after some, over these.

    Args:
        ours: regret of each repeat at each time.
        theirs: the reference's, of the same repeats.
        after_s: when the reference's regret is taken.
    """
    place = int(np.searchsorted(times, after_s))

    def ratio(weights: Array) -> float:
        target = float(weights @ theirs[:, place])
        return first_at_most(weights @ ours, target, times) / after_s

    count = len(ours)
    whole = ratio(np.full(count, 1 / count))
    generator = np.random.default_rng(0)
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
    found = sorted(ratio(weights) for weights in drawn)
    low, high = (found[int(share / 100 * (RESAMPLES - 1))] for share in (LOW, HIGH))
    return Ratio(whole, low, high)
