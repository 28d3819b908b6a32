"""A grid: every point of a space without continuous parameters, each of them once."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from ffl_ray.errors import SettingError
from ffl_ray.search.alone_sampler import AloneSampler
from ffl_ray.search.space_trial import as_space_trial

Params = Mapping[str, Any]
Suggest = Callable[[optuna.Trial], object]
MOST_POINTS = 10_000


class Grid:
    """The points of a space, in an order of the seed; each is given once.

    Args:
        suggest: the space.
        seed: of the order.

    Raises:
        SettingError: there are too many points.
    """

    def __init__(self, suggest: Suggest, seed: int) -> None:
        found = list(every_point(suggest))
        order = np.random.default_rng(seed).permutation(len(found))
        self._left = iter([found[i] for i in order])

    def take(self, known: Collection[str]) -> Params:
        """The first point that no trial has had; nothing when all have been had.

        Args:
            known: `key_of` the points that trials have.
        """
        return next((point for point in self._left if key_of(point) not in known), {})


def key_of(params: Params) -> str:
    """A point as a text: equal for equal points."""
    return repr(sorted(params.items()))


def every_point(suggest: Suggest) -> Iterator[dict[str, Any]]:
    """Every point of a space once; of two that follow each other the latest draws differ.

    Raises:
        SettingError: there are more than `MOST_POINTS`, or a parameter is continuous.
    """
    walk, count = _Walk(), 0
    study = optuna.create_study(sampler=walk)
    while count < MOST_POINTS:
        trial = as_space_trial(study.ask())
        suggest(trial)
        yield trial.params
        count += 1
        if not walk.next_path():
            return
    raise SettingError(
        f"search.sampler grid takes spaces of at most {MOST_POINTS:,} points, and this one has "
        f"more: use random, or fewer choices"
    )


class _Walk(AloneSampler):
    """Draws along a path of choices, and takes the first where the path ends."""

    def __init__(self) -> None:
        self._path: list[tuple[int, int]] = []
        self._depth = 0

    def next_path(self) -> bool:
        """Go to the path that follows; False when there is none."""
        del self._path[self._depth :]
        self._depth = 0
        while self._path and self._path[-1][0] + 1 == self._path[-1][1]:
            self._path.pop()
        if not self._path:
            return False
        place, count = self._path[-1]
        self._path[-1] = place + 1, count
        return True

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        values = _values(param_name, param_distribution)
        if self._depth == len(self._path):
            self._path.append((0, len(values)))
        place, _ = self._path[self._depth]
        self._depth += 1
        return values[place]


def check_steps(kinds: Mapping[str, BaseDistribution]) -> None:
    """Check that a grid can take these parameters.

    Raises:
        SettingError: one is continuous, or has too many values.
    """
    for name, kind in kinds.items():
        _values(name, kind)


def num_points(kinds: Mapping[str, BaseDistribution]) -> int | None:
    """How many points independent parameters have; none: one is continuous."""
    try:
        return math.prod(len(_values(name, kind)) for name, kind in kinds.items())
    except SettingError:
        return None


def _values(name: str, kind: Any) -> Sequence[Any]:
    """Every value of a parameter.

    Raises:
        SettingError: it is continuous.
    """
    if isinstance(kind, CategoricalDistribution):
        return kind.choices
    if kind.step is None:
        raise SettingError(
            f"search.sampler grid takes choices, counts and floats with a step, and {name} has none"
        )
    count = round((kind.high - kind.low) / kind.step) + 1
    if count > MOST_POINTS:
        raise SettingError(
            f"search.sampler grid takes ranges of at most {MOST_POINTS:,} values, and {name} has "
            f"{count:,}: give it a step"
        )
    return [round(kind.low + place * kind.step, 12) for place in range(count)]
