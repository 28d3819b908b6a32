"""A freeze-thaw search, replayed: after each epoch its worker trains on what promises most.

Swersky et al. 2014, "Freeze-thaw Bayesian optimization" (arXiv:1406.3896): a Gaussian process over
points models what curves end with, and each curve, given its end, is independent of the others.
Here a curve is a Markov chain (`curves`), and what is gained counts for a point's worth, not for
one training's luck. A trial rests at no cost; nothing is known that a search would not know then.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from benchmarks.freeze_thaw.curves import Array, Ints, expected_ends, fenced, log_loss
from benchmarks.freeze_thaw.gain import expected_gain, gain_rate
from benchmarks.freeze_thaw.points import Points, points_of
from benchmarks.freeze_thaw.process import Belief, Process, Told
from ffl_ray.config.settings import SearchConfig
from ffl_ray.orchestration.judge import Judge
from ffl_ray.replay.event_loop import Draws, Ended
from ffl_ray.replay.grid import Grid, Run
from ffl_ray.search.rungs import fair, with_own_grace

STARTUP = 4  # trials at random points, trained to their end
POPULATION = 8  # the first trials, which say how trainings spread before a model chose any
LEARN_EVERY = 12  # decisions
CONSIDERED = 30  # trainings whose plans are looked at
FAINT = 1e-3


class FreezeThaw(NamedTuple):
    """The candidate of a replay.

    Attributes:
        name: of it in tables and pictures.
        rests: whether a trial may rest; else each is trained to its end, and the model proposes.
        at_once: a trial may rest after any epoch; else from the first that is fair for a rung.
        stops: whether ASHA stops trials, which then do not go on.
    """

    name: str
    rests: bool = True
    at_once: bool = False
    stops: bool = False

    def run(self, grid: Grid, repeat: int, budget_s: float) -> Iterator[Ended]:
        """The trials of one search that were completed, stopped, or failed."""
        yield from _Search(grid, repeat, self).run(budget_s)


@dataclass
class _Trial:
    number: int
    place: int
    run: Run
    losses: list[float] = field(default_factory=list)
    busy: bool = False
    is_over: bool = False  # it failed, or was stopped

    @property
    def epoch_s(self) -> float:
        return float(np.mean(self.run.seconds[: len(self.losses)]))


class _Search:
    def __init__(self, grid: Grid, repeat: int, how: FreezeThaw) -> None:
        self._grid, self._rests = grid, how.rests
        self._draws = Draws(grid, repeat)
        self._fair = 1 if how.at_once else fair(grid.product.base).epochs
        asha = SearchConfig(scheduler="asha" if how.stops else "none", audit_trials=0)
        self._judge = Judge.of(with_own_grace(asha, grid.product.base), grid.objective, grid.epochs)
        self._generator = np.random.default_rng((repeat, 7))
        self._space: Points = points_of(grid)
        self._first = self._generator.permutation(len(self._space.points)).tolist()
        self._process = Process(self._space.distances, self._generator)
        self._decisions = 0
        self._trials: list[_Trial] = []
        self._events: list[tuple[float, int]] = []

    def run(self, budget_s: float) -> Iterator[Ended]:
        workers = self._grid.workers
        for _ in range(workers):
            self._train(0.0, self._new_at_random())
        while self._events and self._events[0][0] * workers <= budget_s:
            now, number = heapq.heappop(self._events)
            ended = self._finish_epoch(self._trials[number])
            if ended is not None:
                yield ended._replace(at_s=now * workers)
            self._train(now, self._next(self._trials[number]))

    def _finish_epoch(self, trial: _Trial) -> Ended | None:
        """An epoch of a trial is over; what it was if it ended."""
        trial.busy = False
        done, point = len(trial.losses), self._space.points[trial.place]
        if done == len(trial.run.values):
            trial.is_over = True
            return Ended(0.0, point, trial.run, done, None)
        value = trial.run.values[done]
        trial.losses.append(log_loss(value, self._grid.objective))
        if done + 1 < self._grid.epochs:
            spent_s = sum(trial.run.seconds[: done + 1])
            if self._judge.lets_pass(f"{trial.number:05d}", done + 1, value, spent_s):
                return None
            trial.is_over = True
            return Ended(0.0, point, trial.run, done + 1, None)
        return Ended(0.0, point, trial.run, done + 1, self._grid.objective.score(value))

    def _train(self, now: float, trial: _Trial) -> None:
        """Begin the next epoch of a trial."""
        trial.busy = True
        done, seconds = len(trial.losses), trial.run.seconds
        lasts = seconds[done] if done < len(seconds) else 0.0
        heapq.heappush(self._events, (now + lasts, trial.number))

    def _next(self, trial: _Trial) -> _Trial:
        """What the worker of this trial trains on."""
        done = len(trial.losses)
        goes_on = not trial.is_over and done < self._grid.epochs
        if goes_on and (trial.number < STARTUP or not self._rests or done < self._fair):
            return trial
        if len(self._trials) < STARTUP or not any(self._is_complete(one) for one in self._trials):
            return trial if goes_on else self._new_at_random()
        return self._most_promising()

    def _is_complete(self, trial: _Trial) -> bool:
        return len(trial.losses) == self._grid.epochs

    def _new_at_random(self) -> _Trial:
        return self._new(self._first[len(self._trials) % len(self._first)])

    def _new(self, place: int) -> _Trial:
        run = self._draws.run(self._space.points[place])
        self._trials.append(_Trial(len(self._trials), place, run))
        return self._trials[-1]

    def _most_promising(self) -> _Trial:
        """The resting trial, or a new one elsewhere, of the highest gain per second."""
        resting = [
            trial
            for trial in self._trials
            if trial.losses and not (trial.busy or trial.is_over or self._is_complete(trial))
        ]
        known = [trial for trial in self._trials if trial.losses]
        told, precision = self._told(known)
        if self._decisions % LEARN_EVERY == 0:
            self._process.learn(told)
        self._decisions += 1
        belief = self._process.believe(told)
        begun = {one.place for one in self._trials if not (one.is_over or self._is_complete(one))}
        fresh = [place for place in range(len(self._space.points)) if place not in begun]
        places = np.array([*(one.place for one in resting), *fresh])
        trained = np.zeros(len(places), int)
        trained[: len(resting)] = [len(trial.losses) for trial in resting]
        best = min(belief.mean[one.place] for one in known if self._is_complete(one))
        chosen = _highest(
            belief, precision, places, trained, self._epoch_s(known)[places], best, self._fair
        )
        return resting[chosen] if chosen < len(resting) else self._new(int(places[chosen]))

    def _told(self, known: list[_Trial]) -> tuple[Told, Array]:
        """What the curves tell, and the precision with which one does after each epoch, from none.

        What a curve lets expect has the spread of all ends in it, which is the process's to know:
        it is divided out.
        """
        curves = np.full((len(known), self._grid.epochs), np.nan)
        for row, trial in zip(curves, known, strict=True):
            row[: len(trial.losses)] = trial.losses
        curves = fenced(curves)
        ends = expected_ends(curves)
        latest = np.array([len(trial.losses) - 1 for trial in known])
        means = ends.intercept[latest] + ends.slope[latest] * curves[range(len(known)), latest]
        variances = np.maximum(ends.variance, 1e-6)
        first = means[:POPULATION]
        mean = float(first.mean())
        spread = float(first.var() + variances[latest[:POPULATION]].mean() + 1e-4)
        precision = np.maximum(1 / variances - 1 / spread, FAINT / spread)
        told = (means / variances[latest] - mean / spread) / precision[latest]
        far = 4 * np.sqrt(spread)
        places = np.array([trial.place for trial in known])
        ends_told = np.clip(told, mean - far, mean + far)
        return Told(places, ends_told, 1 / precision[latest], mean, spread), precision

    def _epoch_s(self, known: list[_Trial]) -> Array:
        """Seconds of an epoch at every point, by a ridge regression of their logarithm."""
        seconds = np.log([max(trial.epoch_s, 1e-9) for trial in known])
        features = self._space.features[[trial.place for trial in known]]
        gram = features.T @ features + np.eye(features.shape[1])
        weights = np.linalg.solve(gram, features.T @ (seconds - seconds.mean()))
        return np.asarray(np.exp(seconds.mean() + self._space.features @ weights))


def _highest(
    belief: Belief,
    precision: Array,
    places: Ints,
    trained: Ints,
    epoch_s: Array,
    best: float,
    first_look: int,
) -> int:
    """The training of the highest gain per second, of those best without a look."""
    told = np.concatenate([[0.0], 1 / (belief.seeds + 1 / precision)])
    mean, variance = belief.mean[places], belief.variance[places]
    more = np.maximum(told[None] - told[trained][:, None], 0.0)
    variances = 1 / (1 / variance[:, None] + more)
    epochs = len(precision)
    moved = np.sqrt(np.maximum(variance - variances[:, -1], 1e-12))
    plain = expected_gain(mean, moved, best) / (epoch_s * (epochs - trained))
    top = np.argsort(-plain)[:CONSIDERED]
    rates = gain_rate(mean[top], variances[top], epoch_s[top], trained[top], best, first_look)
    return int(top[np.argmax(rates)])
