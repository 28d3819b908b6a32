"""What is compared: a sampler and a scheduler with their settings, or a plain baseline."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import SettingError
from ffl_ray.replay.event_loop import Draws, Ended, replayed
from ffl_ray.replay.grid import Grid

# The settings of a search that act in a replay.
ACT = (
    *("sampler", "startup_trials", "scheduler", "grace", "reduction_factor"),
    *("rung_unit", "audit_trials", "num_samples"),
)
ONE_EPOCH = "one epoch, then the best"


class Policy(Protocol):
    """A way to search, by settings or of its own; a process of the pool gets a copy."""

    @property
    def name(self) -> str:
        """Of it in tables and pictures."""
        ...

    def run(self, grid: Grid, repeat: int, budget_s: float) -> Iterator[Ended]:
        """The trials of one search, in the order in which they end."""
        ...


class Candidate(NamedTuple):
    """One way to search.

    Attributes:
        name: of it in tables and pictures.
        settings: of the search, without their prefix; none: the baseline `ONE_EPOCH`.
    """

    name: str
    settings: Mapping[str, object] | None

    def run(self, grid: Grid, repeat: int, budget_s: float) -> Iterator[Ended]:
        """The trials of one search."""
        if self.settings is None:
            return one_epoch_first(grid, repeat, budget_s)
        return replayed(grid, self.search(), repeat, budget_s)

    def search(self) -> SearchConfig:
        """The settings of the search.

        Raises:
            SettingError: a name is unknown, or a value breaks its rule.
        """
        return with_overrides(SearchConfig(), self.settings or {})


REFERENCE = Candidate("random none", {"sampler": "random", "scheduler": "none"})
DEFAULT = (
    REFERENCE,
    Candidate(ONE_EPOCH, None),
    Candidate("random asha", {"sampler": "random", "scheduler": "asha"}),
    Candidate("tpe none", {"sampler": "tpe", "scheduler": "none"}),
    Candidate("tpe asha", {"sampler": "tpe", "scheduler": "asha"}),
    Candidate("tpe median", {"sampler": "tpe", "scheduler": "median"}),
)


def candidates(texts: Iterable[str]) -> list[Candidate]:
    """The reference, and the candidates that were asked for; without any, the default ones.

    Args:
        texts: each `NAME=VALUE NAME=VALUE ...`, settings of a search without their prefix.

    Raises:
        SettingError: one is not of this form, or not allowed.
    """
    found = [_candidate(text) for text in texts]
    return [REFERENCE, *(one for one in found if one != REFERENCE)] if found else [*DEFAULT]


def _candidate(text: str) -> Candidate:
    if text == ONE_EPOCH:
        return Candidate(ONE_EPOCH, None)
    pairs = [word.partition("=") for word in text.split()]
    if not all(equals for _, equals, _ in pairs):
        raise SettingError(
            f"--candidate takes settings of a search, such as 'sampler=gp scheduler=none', or "
            f"'{ONE_EPOCH}', not {text!r}"
        )
    made = Candidate(text, {name.removeprefix("search."): value for name, _, value in pairs})
    made.search()
    idle = [name for name in made.settings or {} if name not in ACT]
    if idle:
        raise SettingError(
            f"--candidate takes {', '.join(ACT)}, not {idle[0]}: it does not act here"
        )
    return made


def one_epoch_first(grid: Grid, repeat: int, budget_s: float) -> Iterator[Ended]:
    """Random points, of each its first epoch; then the best of them to their end.

    None comes again while there are others.
    There are as many points as full trainings in the budget (Bohdal et al. 2023,
    arXiv:2307.15422: a single epoch ranks configs nearly as well as many do).
    """
    generator = np.random.default_rng((repeat, 1))
    points, draws = sorted(grid.runs), Draws(grid, repeat)
    count = max(2, round(budget_s / grid.training_s))
    rounds = -(-count // len(points))
    order = np.concatenate([generator.permutation(len(points)) for _ in range(rounds)])
    chosen = [points[place] for place in order[:count]]
    runs = [(point, draws.run(point)) for point in chosen]
    free = [0.0] * grid.workers
    for _, run in runs:
        heapq.heappush(free, heapq.heappop(free) + sum(run.seconds[:1]))
    free = [max(free)] * grid.workers
    alive = [pair for pair in runs if len(pair[1].values) > 1]
    score = grid.objective.score
    ends: list[Ended] = []
    for point, run in sorted(alive, key=lambda pair: -score(pair[1].values[0])):
        end = heapq.heappop(free) + sum(run.seconds[1:])
        heapq.heappush(free, end)
        last = None if run.failed else score(run.values[-1])
        ends.append(Ended(end * grid.workers, point, run, len(run.values), last))
    yield from (end for end in sorted(ends) if end.at_s <= budget_s)
