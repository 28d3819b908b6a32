"""The confusion matrix as a picture: of many classes those that are confused most."""

from __future__ import annotations

from collections import Counter

import plotly.graph_objects as go

from ffl_ray.report.blocks import Plot
from ffl_ray.report.style import broken, styled
from ffl_ray.results.classes import Classes

MOST_CLASSES = 30
CELLS = [[0, "#ffffff"], [1, "#0072B2"]]


def confusion_matrix(found: Classes) -> Plot:
    """Shares of each class's images by the class that they were taken for."""
    shown = _shown(found)
    labels = [f"{broken(found.names[index], 14, 2)}" for index in shown]
    counts = [[found.counts[true, taken_for] for taken_for in shown] for true in shown]
    shares = [
        [count / max(1, found.images[true]) for count in row]
        for true, row in zip(shown, counts, strict=True)
    ]
    places = list(range(len(shown)))
    few = len(shown) <= 12
    figure = go.Figure(
        go.Heatmap(
            x=places, y=places, z=shares, text=[[str(n or "") for n in row] for row in counts],
            texttemplate="%{text}" if few else None,
            customdata=[
                [f"{a} taken for {b}: {n}" for b, n in zip(labels, row, strict=True)]
                for a, row in zip(labels, counts, strict=True)
            ],
            hovertemplate="%{customdata}, %{z:.1%}<extra></extra>",
            colorscale=CELLS, zmin=0, zmax=1, showscale=not few, xgap=1, ygap=1,
        )
    )  # fmt: skip
    ticks = {"tickvals": places, "ticktext": labels, "showgrid": False, "zeroline": False}
    figure.update_xaxes(title="taken for", tickangle=-60, **ticks)
    figure.update_yaxes(title="class", autorange="reversed", **ticks)
    left = f", the {len(shown)} of {len(found.names)} classes with most mistakes"
    return Plot(
        f"The confusion matrix{left * (len(shown) < len(found.names))}: a row is a class, its "
        f"cells are coloured by the share of its images that were taken for each.",
        styled(figure, 160 + max(240, 24 * len(shown))),
    )


def _shown(found: Classes) -> list[int]:
    """All classes, or of many those that take part in most mistakes, in their order."""
    if len(found.names) <= MOST_CLASSES:
        return list(range(len(found.names)))
    part: Counter[int] = Counter()
    for pair in found.mistakes():
        part.update(dict.fromkeys(pair, found.counts[pair]))
    return sorted(index for index, _ in part.most_common(MOST_CLASSES))
