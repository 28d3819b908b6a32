"""Stopping rules: which trials go on, by what all of them have reached so far.

The decisions are Ray Tune's own (AsyncHyperBandScheduler, MedianStoppingRule), which the tests hold
them against. Here they are functions of the results, which earlier runs of a study have as well.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from ffl_ray.config.objectives import Objective, dominates
from ffl_ray.config.settings import SearchConfig
from ffl_ray.search.rungs import SECONDS, grace_epochs, latest_epoch, num_brackets, rung_epochs

LEAST_RIVALS = 3  # the median of fewer says nothing
Curve = Sequence[tuple[int, float]]
Costs = tuple[float, ...]


class StoppingRule(Protocol):
    """Judges trials by their objective after each epoch, and by what they cost."""

    def know(self, trial_id: str, costs: Costs) -> None:
        """What a trial costs, if that is searched for too: less is better."""
        ...

    def remember(self, trial_id: str, epoch: int, value: float, spent_s: float = 0.0) -> None:
        """An epoch that was judged before, or is the last: it counts for the others."""
        ...

    def lets_pass(self, trial_id: str, epoch: int, value: float, spent_s: float = 0.0) -> bool:
        """Whether a trial goes on after this epoch, which counts for the others from now on.

        Args:
            spent_s: accelerator-seconds that the trial took until then.
        """
        ...


def stopping_rule(search: SearchConfig, objective: Objective, epochs: int) -> StoppingRule | None:
    """The rule that the setting search.scheduler names; none where nobody is stopped.

    Args:
        objective: what trials are judged by.
        epochs: planned length of every trial.
    """
    if search.scheduler == "none":
        return None
    if search.scheduler == "median":
        return MedianRule(grace_epochs(search, epochs), maximised=objective.maximised)
    brackets = num_brackets(search, epochs) if search.scheduler == "hyperband" else 1
    return SuccessiveHalving(
        search,
        epochs,
        maximised=objective.maximised,
        brackets=brackets,
        latest=latest_epoch(epochs),
    )


class Rung(NamedTuple):
    """A milestone, in epochs, and the scores with which trials came there."""

    milestone: float
    scores: dict[str, float]


def next_rung(rungs: Sequence[Rung], trial_id: str, epoch: int) -> Rung | None:
    """The latest rung that a trial has reached and is not on yet; rungs are in falling order."""
    for rung in rungs:
        if epoch >= rung.milestone and trial_id not in rung.scores:
            return rung
    return None


def is_among_best(score: float, others: Collection[float], factor: float) -> bool:
    """Whether a score is in the best 1 / factor of those before it on a rung; the first one is."""
    if not others:
        return True
    return not score < np.nanpercentile(list(others), (1 - 1 / factor) * 100)


def standings(points: Sequence[Sequence[float]]) -> list[int]:
    """For each point minus the number of others that dominate it: 0 on the front.

    The rank of Fonseca and Fleming 1993, "Genetic algorithms for multiobjective optimization";
    of a single score it orders as the score does.
    """
    return [-sum(dominates(other, point) for other in points) for point in points]


class SuccessiveHalving:
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934) over finished epochs.

    With several brackets it is the asynchronous form of Hyperband (Li et al. 2018,
    arXiv:1603.06560): each later bracket stops nobody before a later rung. A trial's bracket
    follows from the seed and its number, more trials going to the earlier ones. Where trials cost
    something that is searched for too, they are held against each other by `standings`. With
    `search.rung_unit` accelerator-seconds a trial is held at its rung against what the others on it
    had reached after as many seconds, by their epochs between the first rung and `latest`; who was
    stopped at an earlier rung is none of them.

    Args:
        epochs: planned length of every trial.
        latest: there is no rung behind this epoch.
    """

    def __init__(
        self,
        search: SearchConfig,
        epochs: int,
        *,
        maximised: bool,
        brackets: int = 1,
        latest: float = math.inf,
    ) -> None:
        self._factor = search.reduction_factor
        self._grace, self._latest = grace_epochs(search, epochs), latest
        self._in_seconds = search.rung_unit == SECONDS
        self._paid: dict[str, dict[int, tuple[float, float]]] = {}
        self._sign = 1 if maximised else -1
        self._seed = search.seed
        rungs = rung_epochs(search, epochs, min(latest, epochs))
        self.brackets = [
            [Rung(milestone, {}) for milestone in reversed(rungs[bracket:])]
            for bracket in range(brackets)
        ]
        self._drawn: dict[str, int] = {}
        self._costs: dict[str, Costs] = {}

    def know(self, trial_id: str, costs: Costs) -> None:
        self._costs[trial_id] = costs

    def bracket_of(self, trial_id: str) -> int:
        """A trial's bracket, drawn with odds that grow with the exponential of its rungs."""
        if trial_id not in self._drawn:
            odds = np.exp([float(len(rungs)) for rungs in self.brackets])
            generator = np.random.default_rng((self._seed, int(trial_id)))
            self._drawn[trial_id] = int(generator.choice(len(odds), p=odds / odds.sum()))
        return self._drawn[trial_id]

    def remember(self, trial_id: str, epoch: int, value: float, spent_s: float = 0.0) -> None:
        if self._grace <= epoch <= self._latest:
            self._paid.setdefault(trial_id, {})[epoch] = (spent_s, self._sign * value)
        rung = self._next_rung(trial_id, epoch)
        if rung is not None:
            rung.scores[trial_id] = self._sign * value

    def lets_pass(self, trial_id: str, epoch: int, value: float, spent_s: float = 0.0) -> bool:
        rung = self._next_rung(trial_id, epoch)
        others = dict(rung.scores) if rung is not None else {}
        self.remember(trial_id, epoch, value, spent_s)
        if rung is None:
            return True
        if self._in_seconds:
            others = self._after(spent_s, others)
        own = self._sign * value
        if not self._costs.get(trial_id):
            return is_among_best(own, others.values(), self._factor)
        known = [one for one in others if one in self._costs]
        scores = [*((one, others[one]) for one in known), (trial_id, own)]
        *theirs, mine = standings([self._point(*one) for one in scores])
        return is_among_best(mine, theirs, self._factor)

    def _after(self, spent_s: float, others: Iterable[str]) -> dict[str, float]:
        """The scores that others had after so many accelerator-seconds, where they may be judged.

        Epochs are at hand in the order in which they ended, of a trial that a retry repeats too.
        """
        found = {}
        for other in others:
            paid = self._paid.get(other, {}).values()
            by_then = [score for paid_s, score in paid if paid_s <= spent_s]
            if by_then:
                found[other] = by_then[-1]
        return found

    def _point(self, trial_id: str, score: float) -> tuple[float, ...]:
        return (score, *(-cost for cost in self._costs[trial_id]))

    def _next_rung(self, trial_id: str, epoch: int) -> Rung | None:
        return next_rung(self.brackets[self.bracket_of(trial_id)], trial_id, epoch)


class MedianRule:
    """Stops a trial whose best is worse than the median of the others' means so far.

    Golovin et al. 2017, "Google Vizier", section 3.2.1. Nobody is stopped before three others
    have come as far. A trial is held against those that cost no more, if that is searched for too.

    Args:
        grace: nobody is stopped before, in epochs.
    """

    def __init__(self, grace: int, *, maximised: bool) -> None:
        self._grace = grace
        self._maximised = maximised
        self._curves: dict[str, list[tuple[int, float]]] = {}
        self._costs: dict[str, Costs] = {}

    def know(self, trial_id: str, costs: Costs) -> None:
        self._costs[trial_id] = costs

    @property
    def curves(self) -> Mapping[str, Curve]:
        """What is known of each trial: epochs and values."""
        return self._curves

    def remember(self, trial_id: str, epoch: int, value: float, spent_s: float = 0.0) -> None:
        self._curves.setdefault(trial_id, []).append((epoch, value))

    def lets_pass(self, trial_id: str, epoch: int, value: float, spent_s: float = 0.0) -> bool:
        known = self._curves.get(trial_id, [])
        if any(epoch == before for before, _ in known):  # a retry reports epochs again
            return True
        self.remember(trial_id, epoch, value)
        if epoch < self._grace:
            return True
        rivals = [
            curve
            for other, curve in self._curves.items()
            if other != trial_id and self._is_no_dearer(other, trial_id)
        ]
        values = [value for _, value in self._curves[trial_id]]
        return reaches_median(values, rivals, epoch, self._grace, maximised=self._maximised)

    def _is_no_dearer(self, other: str, trial_id: str) -> bool:
        """Whether another trial costs no more in any way; what is not known costs nothing."""
        pairs = zip(self._costs.get(other, ()), self._costs.get(trial_id, ()), strict=False)
        return all(theirs <= mine for theirs, mine in pairs)


def reaches_median(
    values: Sequence[float], rivals: Sequence[Curve], epoch: int, grace: int, *, maximised: bool
) -> bool:
    """Whether a trial's best value is no worse than the median of its rivals' means.

    Args:
        values: of the trial, up to this epoch.
        rivals: those that have come as far count, each by its epochs from `grace` to this one.
    """
    means = [
        np.mean(scope)
        for curve in rivals
        if curve[-1][0] >= epoch
        and (scope := [value for when, value in curve if grace <= when <= epoch])
    ]
    finite = [mean for mean in means if np.isfinite(mean)]
    if len(finite) < LEAST_RIVALS:
        return True
    better = max if maximised else min
    best = better(values)
    return bool(better(np.median(finite), best) == best)
