"""The mix of branches as search parameters, one point for each multiset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from ffl_ray.search.gates import gates_from_params

NUM_BRANCHES = "num_branches"
PREFIX = "mix."


class SuggestsInt(Protocol):
    """The part of `optuna.Trial` that a mix needs."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """An integer between both bounds, inclusive."""
        ...


@runtime_checkable
class SuggestsMix(Protocol):
    """A trial that draws a whole mix at once: that of a search."""

    def kinds(self, backbones: Sequence[str]) -> Sequence[str]:
        """The backbones to draw from: these, or those that the search has instead."""
        ...

    def suggest_counts(self, least: int, most: int, backbones: Sequence[str]) -> list[int]:
        """How many of each backbone; the parameters that say so are noted."""
        ...


def suggest_mix(
    trial: SuggestsInt, *, num_branches: tuple[int, int], backbones: Sequence[str]
) -> tuple[str, ...]:
    """Suggest how many branches there are, and how many of each backbone.

    The parameters are `num_branches` and one count `mix.BACKBONE` per backbone, from 0 to the most
    branches: their ranges never move, so that a sampler models them together and with all others.
    The order of branches does not exist: every multiset is exactly one point of the space. What a
    sampler proposes beside these points becomes the nearest one before it is judged or noted.
    Random draws take the number of branches first, each as likely, and then every multiset of so
    many branches as likely as another.

    Args:
        num_branches: the least and the most.
        backbones: names to choose from.

    Returns:
        The suggested `model.mix`; a search space need not return it again.

    Raises:
        ValueError: the bounds are not 2 <= least <= most, or there is no backbone.
    """
    least, most = num_branches
    if not 2 <= least <= most:
        raise ValueError(
            f"num_branches must be (least, most), 2 <= least <= most, not {num_branches}"
        )
    if isinstance(trial, SuggestsMix):
        backbones = trial.kinds(backbones)
    names = sorted(set(backbones))
    if not names:
        raise ValueError("backbones must name at least one backbone, not none")
    if isinstance(trial, SuggestsMix):
        counts = trial.suggest_counts(least, most, names)
    else:
        size = trial.suggest_int(NUM_BRANCHES, least, most)
        drawn = [trial.suggest_int(f"{PREFIX}{name}", 0, most) for name in names]
        counts = nearest_multiset(size, drawn)
    return tuple(name for name, count in zip(names, counts, strict=True) for _ in range(count))


def num_multisets(size: int, kinds: int) -> int:
    """The number of multisets of this size."""
    return comb(size + kinds - 1, size)


def multiset(rank: int, size: int, kinds: int) -> list[int]:
    """The counts of each kind in the multiset of this rank, from 0, among those of this size."""
    counts = []
    for others in range(kinds - 1, 0, -1):
        count = 0
        while rank >= (ways := num_multisets(size - count, others)):
            rank -= ways
            count += 1
        counts.append(count)
        size -= count
    return [*counts, size]


def nearest_multiset(size: int, counts: Sequence[float]) -> list[int]:
    """The multiset of this size whose counts are nearest to these."""
    found: list[int] = nearest_multisets(np.array([size]), np.array([counts], float))[0].tolist()
    return found


def nearest_multisets(
    sizes: Int[np.ndarray, "points"], counts: Float[np.ndarray, "points kinds"]
) -> Int[np.ndarray, "points kinds"]:
    """For each point the multiset of its size with the least Euclidean distance to its counts.

    The squared distance is a sum of one convex function of each count, so the nearest is found by
    adding one branch after the other where it lowers the distance most. Equal gains are taken in
    turn, beginning with a kind that depends on the counts: no kind is preferred.
    """
    points, kinds = counts.shape
    places = np.arange(kinds)
    first = np.rint(counts @ (places + 1)).astype(int) % kinds
    turn = (places[None] - first[:, None]) % kinds * 1e-6
    found = np.zeros((points, kinds), int)
    for step in range(int(sizes.max(initial=0))):
        chosen = np.argmax(counts - found - turn, axis=1)
        found[np.arange(points), chosen] += step < sizes
    return found


def settings_from_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Optuna's parameters as dotted settings: counts become `model.mix`, gates `distill.gates`."""
    counts = {
        name.removeprefix(PREFIX): count
        for name, count in params.items()
        if name.startswith(PREFIX)
    }
    others = {
        name: value
        for name, value in gates_from_params(params).items()
        if name != NUM_BRANCHES and not name.startswith(PREFIX)
    }
    if not counts:
        return others
    mix = tuple(name for name in sorted(counts) for _ in range(counts[name]))
    return {"model.mix": mix} | others
