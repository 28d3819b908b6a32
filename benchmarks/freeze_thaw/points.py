"""The points of a grid for a model: how far apart they are, and what may drive their seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.freeze_thaw.curves import Array
from ffl_ray.config.values import parse_mix
from ffl_ray.replay.grid import Grid
from ffl_ray.search.product import MIX, Point


class Points(NamedTuple):
    """The points of a grid, in one order.

    Attributes:
        points: themselves.
        distances: (settings, points, points), of each setting at most 1.
        features: (points, features), with a constant, for a regression of the seconds.
    """

    points: list[Point]
    distances: Array
    features: Array


def points_of(grid: Grid) -> Points:
    """The points of a grid; of a mix the counts of its backbones matter, of a number its size."""
    points = sorted(grid.runs)
    columns = [[point[place] for point in points] for place in range(len(grid.product.names))]
    made = [
        _encoded(name, column) for name, column in zip(grid.product.names, columns, strict=True)
    ]
    gaps = [np.abs(one[:, None] - one[None]).sum(axis=2) for one in made]
    distances = np.stack([gap / max(gap.max(), 1e-9) for gap in gaps])
    return Points(points, distances, np.hstack([np.ones((len(points), 1)), *made]))


def _encoded(name: str, column: Sequence[str]) -> Array:
    """A searched setting as numbers: (points, 1 or more)."""
    if name == MIX:
        counts = [Counter(parse_mix(text)) for text in column]  # type: ignore[call-overload]
        names = sorted({backbone for count in counts for backbone in count})
        return np.array([[float(count[one]) for one in names] for count in counts])
    try:
        return np.array([[float(text)] for text in column])
    except ValueError:
        return np.array([[float(text == one) for one in sorted({*column})] for text in column])
