"""The ranges of a search's parameters in words."""

from __future__ import annotations

from collections.abc import Iterable

from optuna.distributions import BaseDistribution, CategoricalDistribution

from ffl_ray.config.overrides import shown
from ffl_ray.search.points import Point


def ranges(points: Iterable[Point]) -> dict[str, str]:
    """The searched parameters, each with its range over all points."""
    found: dict[str, list[BaseDistribution]] = {}
    for point in points:
        for name, distribution in point.distributions.items():
            found.setdefault(name, []).append(distribution)
    return {name: _range(distributions) for name, distributions in found.items()}


def _range(distributions: list[BaseDistribution]) -> str:
    first = distributions[0]
    if isinstance(first, CategoricalDistribution):
        return ", ".join(shown(choice) for choice in first.choices)
    low = min(d.low for d in distributions)  # type: ignore[attr-defined]
    high = max(d.high for d in distributions)  # type: ignore[attr-defined]
    log = ", logarithmic" if getattr(first, "log", False) else ""
    return f"{shown(low)} to {shown(high)}{log}"
