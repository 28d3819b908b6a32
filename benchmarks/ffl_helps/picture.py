"""The picture of what the experiment found: every difference with its interval and verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D

from ffl_ray.results.verdicts import NONE, word_of

COLOURS = {
    "better": "#1e8449",
    "worse": "#c0392b",
    "equal": "#2471a3",
    "undecided": "#7d8b8c",
    NONE: "#d5d8dc",
}


class Point(NamedTuple):
    """A comparison on a data set.

    Attributes:
        name: of the comparison.
        data: the data set's.
        mean: difference of accuracy, a fraction.
        low, high: of its interval; none: there is none.
        verdict: on it.
        margin: within which it would be equal, a fraction.
    """

    name: str
    data: str
    mean: float
    low: float | None
    high: float | None
    verdict: str
    margin: float | None


def draw(points: Sequence[Point], path: Path) -> None:
    """A panel for each data set, its comparisons from the top, the margin in grey."""
    mpl.rcParams.update({"svg.hashsalt": "ffl_ray", "svg.fonttype": "none"})
    data, names = (list(dict.fromkeys(values)) for values in zip(*_labels(points), strict=True))
    size = (4 + 3 * len(data), 1.2 + 0.34 * len(names))
    figure, axes = plt.subplots(
        1, len(data), figsize=size, layout="constrained", sharey=True, squeeze=False
    )
    for axis, one in zip(axes.flat, data, strict=True):
        axis.set_title(one, fontsize=10)
        axis.axvline(0, color="#222222", linewidth=0.8)
        for point in (point for point in points if point.data == one):
            _draw(axis, point, names.index(point.name))
    axes.flat[0].set_yticks(range(len(names)), names, fontsize=9)
    axes.flat[0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel("points of test accuracy, ours minus theirs", fontsize=9)
    words = [word for word in COLOURS if word != NONE or NONE in map(_word, points)]
    handles = [Line2D([], [], color=COLOURS[word], marker="o", label=word) for word in words]
    figure.legend(handles=handles, ncols=4, loc="outside upper center", fontsize=9, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _word(point: Point) -> str:
    return word_of(point.verdict)


def _labels(points: Sequence[Point]) -> list[tuple[str, str]]:
    return [(point.data, point.name) for point in points]


def _draw(axis: Any, point: Point, place: int) -> None:
    colour = COLOURS[_word(point)]
    if point.margin is not None:
        axis.axvspan(-100 * point.margin, 100 * point.margin, color="#eeeeee", zorder=0)
    if point.low is not None and point.high is not None and math.isfinite(point.low):
        axis.plot([100 * point.low, 100 * point.high], [place] * 2, color=colour, linewidth=2)
    axis.plot([100 * point.mean], [place], "o", color=colour, markersize=6)
