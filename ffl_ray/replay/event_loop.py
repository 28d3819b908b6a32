"""One search, replayed: the product's searcher and stopping rule over stored trainings.

An event is the end of an epoch; its time is what the epochs of its worker took. Neither Ray nor a
network is there: the searcher proposes, is told and is asked again in the order in which Ray Tune
would do it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ffl_ray.config.objectives import ROLES, VALUE
from ffl_ray.config.settings import ResolvedConfig, SearchConfig
from ffl_ray.orchestration.judge import Judge
from ffl_ray.replay.grid import Grid, Run
from ffl_ray.search.product import Point
from ffl_ray.search.rungs import with_own_grace
from ffl_ray.search.searcher import StudySearcher
from ffl_ray.training.session import Report

BRANCH, FUSED = "branch0", "fused"
OVER_BRANCHES = ("best_branch", "mean_branch")


class Ended(NamedTuple):
    """A trial that ended.

    Attributes:
        at_s: accelerator-seconds that the search had taken by then.
        point: what was trained.
        run: which of its trainings.
        epochs: finished ones.
        score: after the last planned epoch, more is better; none of one that was stopped, or
            failed.
    """

    at_s: float
    point: Point
    run: Run
    epochs: int
    score: float | None


@dataclass
class _Trial:
    trial_id: str
    point: Point
    run: Run
    epoch: int = 0

    @property
    def spent_s(self) -> float:
        """Accelerator-seconds of the finished epochs."""
        return sum(self.run.seconds[: self.epoch])


class Draws:
    """Which stored training a point gets: the same for every candidate of a repeat.

    A point that comes again has another seed, as in a search; when all of its trainings were had
    they come anew.
    """

    def __init__(self, grid: Grid, repeat: int) -> None:
        self._grid = grid
        self._repeat = repeat
        self._places = {point: place for place, point in enumerate(sorted(grid.runs))}
        self._visits: Counter[Point] = Counter()

    def run(self, point: Point) -> Run:
        """The training that the next visit of a point sees."""
        runs = self._grid.runs[point]
        order = np.random.default_rng((self._repeat, self._places[point])).permutation(len(runs))
        self._visits[point] += 1
        return runs[int(order[(self._visits[point] - 1) % len(runs)])]


def replayed(grid: Grid, search: SearchConfig, repeat: int, budget_s: float) -> Iterator[Ended]:
    """The trials of one search in the order in which they end, until the budget is spent.

    Args:
        search: sampler and scheduler.
        repeat: seed of the sampler, and of which stored training a point gets.
        budget_s: accelerator-seconds over all workers.
    """
    search = with_own_grace(search, grid.product.base)
    loop = _Loop(grid, search.model_copy(update={"seed": repeat}), repeat)
    yield from loop.run(budget_s)


class _Loop:
    def __init__(self, grid: Grid, search: SearchConfig, repeat: int) -> None:
        self._grid = grid
        self._draws = Draws(grid, repeat)
        self._judge = Judge.of(search, grid.objective, grid.epochs)
        self._searcher = StudySearcher(
            grid.product.space,
            grid.product.base,
            search,
            [grid.objective],
            make_job=self._job,
        )
        self._proposed = 0
        # A grid can't propose more than there is.
        self._most = len(grid.runs) if search.sampler == "grid" else None
        self._events: list[tuple[float, int, _Trial]] = []

    def _job(self, trial_id: str, config: ResolvedConfig) -> dict[str, Any]:
        return {"trial_id": trial_id, "point": self._grid.point(config)}

    def run(self, budget_s: float) -> Iterator[Ended]:
        workers = self._grid.workers
        for _ in range(workers):
            self._start(0.0)
        while self._events and self._events[0][0] * workers <= budget_s:
            now, _, trial = heapq.heappop(self._events)
            ended = self._epoch(trial)
            if ended is None:
                self._push(now, trial)
                continue
            yield ended._replace(at_s=now * workers)
            self._start(now)

    def _start(self, now: float) -> None:
        if self._proposed == self._most:
            return
        job = self._searcher.suggest(f"{self._proposed:05d}")
        trial = _Trial(f"{self._proposed:05d}", job["point"], self._draws.run(job["point"]))
        self._proposed += 1
        self._push(now, trial)

    def _push(self, now: float, trial: _Trial) -> None:
        """The next event of a trial: its next epoch, or its failure where that would end."""
        seconds = trial.run.seconds
        lasts = seconds[trial.epoch] if trial.epoch < len(seconds) else 0.0
        heapq.heappush(self._events, (now + lasts, int(trial.trial_id), trial))

    def _epoch(self, trial: _Trial) -> Ended | None:
        """A trial's next epoch is finished; what it was if it ended."""
        if trial.epoch == len(trial.run.values):
            self._searcher.on_trial_complete(trial.trial_id, error=True)
            return Ended(0.0, trial.point, trial.run, trial.epoch, None)
        value = trial.run.values[trial.epoch]
        trial.epoch += 1
        result = {"epoch": trial.epoch, VALUE: value, "report": self._report(value)}
        if trial.epoch < self._grid.epochs and self._judge.lets_pass(
            trial.trial_id, trial.epoch, value, trial.spent_s
        ):
            self._searcher.on_trial_result(trial.trial_id, result)
            return None
        self._judge.remember(trial.trial_id, trial.epoch, value, trial.spent_s)
        self._searcher.on_trial_complete(trial.trial_id, result)
        done = trial.epoch == self._grid.epochs
        score = self._grid.objective.score(value) if done else None
        return Ended(0.0, trial.point, trial.run, trial.epoch, score)

    def _report(self, value: float) -> Report:
        """A report of which the objective is this value."""
        member, metric = self._grid.objective.member, self._grid.objective.metric
        name = BRANCH if member in OVER_BRANCHES else FUSED if member in ROLES else member
        row = {"member": name, "role": "deployed", metric: value}
        return Report({}, [row], [])
