"""The ranges of a search's parameters in words."""

from __future__ import annotations

from collections.abc import Iterable

from ffl_ray.search.distributions import gathered, range_text
from ffl_ray.search.points import Point


def ranges(points: Iterable[Point]) -> dict[str, str]:
    """The searched parameters, each with its range over all points."""
    found = gathered(point.distributions for point in points)
    return {name: range_text(kinds) for name, kinds in found.items()}
