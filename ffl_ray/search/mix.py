"""The mix of branches as search parameters, one point for each multiset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ffl_ray.search.gates import gates_from_params

NUM_BRANCHES = "num_branches"
PREFIX = "mix."


class SuggestsInt(Protocol):
    """The part of `optuna.Trial` that a mix needs."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """An integer between both bounds, inclusive."""
        ...


def suggest_mix(
    trial: SuggestsInt, *, num_branches: tuple[int, int], backbones: Sequence[str]
) -> tuple[str, ...]:
    """Suggest how many branches there are, and how many of each backbone.

    The parameters are `num_branches` and one count `mix.BACKBONE` per backbone, each bounded by
    the branches that are left; the last backbone takes the rest. So the order of branches does
    not exist: every multiset of backbones is exactly one point of the space.

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
    names = sorted(set(backbones))
    if not names:
        raise ValueError("backbones must name at least one backbone, not none")
    left = trial.suggest_int(NUM_BRANCHES, least, most)
    counts = {}
    for name in names:
        fewest = left if name == names[-1] else 0
        counts[name] = trial.suggest_int(f"{PREFIX}{name}", fewest, left)
        left -= counts[name]
    return tuple(name for name in names for _ in range(counts[name]))


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
