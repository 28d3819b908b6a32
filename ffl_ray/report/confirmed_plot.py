"""Verdicts at a glance: each pair's difference with its interval, the margin, and what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from ffl_ray.report.blocks import Missing, Plot
from ffl_ray.report.style import BLUE, GREEN, GREY, ORANGE, broken, styled
from ffl_ray.results.verdicts import NONE, word_of

Row = Mapping[str, Any]
VERDICTS = {
    "better": (GREEN, "circle"),
    "worse": (ORANGE, "circle"),
    "equal": (BLUE, "square"),
    "undecided": (GREY, "circle-open"),
    NONE: (GREY, "x-thin-open"),
}


class Point(NamedTuple):
    """A row of the comparisons table at its place from the top."""

    place: int
    row: Row


def differences(comparisons: Sequence[Row], measured: str) -> Plot | Missing:
    """Every pair's difference of accuracy, in points, with its interval and verdict.

    Args:
        comparisons: rows of the table.
        measured: on what, for the caption.
    """
    rows = [row for row in comparisons if row["metric"] == "accuracy" and row["n"]]
    if not rows:
        return Missing("No picture of verdicts: no pair of trainings has completed yet.")
    points = [Point(place, row) for place, row in enumerate(rows)]
    figure = go.Figure()
    for verdict, (colour, symbol) in VERDICTS.items():
        _add(
            figure,
            verdict,
            colour,
            symbol,
            [p for p in points if word_of(str(p.row["verdict"])) == verdict],
        )
    figure.add_vline(x=0, line={"color": "#222222", "width": 1})
    margin = next((row["margin"] for row in rows if row.get("margin")), None)
    if margin is not None:
        figure.add_vrect(
            x0=-100 * margin, x1=100 * margin, fillcolor=GREY, opacity=0.18, line_width=0
        )
    figure.update_xaxes(title="points of accuracy,<br>ours minus theirs")
    labels = [_label(row) for row in rows]
    lines = 1 + max(label.count("<br>") for label in labels)
    figure.update_yaxes(
        tickvals=[point.place for point in points], ticktext=labels,
        range=[len(rows) - 0.5, -0.5], zeroline=False, showgrid=False,
    )  # fmt: skip
    band = "" if margin is None else f" Grey: the margin, ±{100 * margin:g} points."
    return Plot(
        f"Each member against its baseline: difference, 95% interval, verdict; in bold the primary "
        f"comparison. Verdicts allow for how many there are, intervals for one each.{band} "
        f"{measured}",
        styled(figure, 150 + (11 + 17 * lines) * len(rows)),
    )


def _label(row: Row) -> str:
    member = f"{broken(row['arm'])}: {row['member']}"
    first = f"<b>{member}</b>" if row.get("primary") else member
    return f"{first}<br><i>{broken(row['baseline'], 32)}</i><br>equal {row['equal']}"


def _add(figure: go.Figure, name: str, colour: str, symbol: str, points: Sequence[Point]) -> None:
    if not points:
        return
    rows = [point.row for point in points]
    figure.add_scatter(
        x=[100 * row["difference.mean"] for row in rows], y=[point.place for point in points],
        error_x={
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 5,
            "array": [_reach(row, "high") for row in rows],
            "arrayminus": [_reach(row, "low") for row in rows],
        },
        mode="markers", name=name, showlegend=True,
        marker={"color": colour, "size": 10, "symbol": symbol},
        customdata=[_words(row) for row in rows],
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def _reach(row: Row, end: str) -> float | None:
    value = row[f"difference.{end}"]
    return None if value is None else abs(100 * (value - row["difference.mean"]))


def _words(row: Row) -> str:
    return (
        f"{row['arm']}, {row['member']}: {row['mean']:.4f}<br>{row['baseline']}, "
        f"{row['baseline_member']}: {row['baseline_mean']:.4f}<br>{row['verdict']}, n = {row['n']}"
    )
