"""Confirmed accuracies beside those of their baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from ffl_ray.report.blocks import Missing, Plot
from ffl_ray.report.style import BLUE, GREY, ORANGE, broken, styled

Row = Mapping[str, Any]
BASELINES = {
    "epochs": ("independent, as many epochs", GREY, -0.22),
    "seconds": ("independent, as many accelerator-seconds", ORANGE, 0.22),
}


class Point(NamedTuple):
    """A row of the summary table at its place from the top."""

    place: float
    row: Row


def against_baselines(
    summary: Sequence[Row], comparisons: Sequence[Row], measured: str
) -> Plot | Missing:
    """Every member of every config with its interval, its baselines close by.

    Args:
        summary: rows of the table.
        comparisons: rows of the table: which baseline is whose.
        measured: on what, for the caption.
    """
    rows = {(row["arm"], row["member"]): row for row in summary}
    members = [key for key, row in rows.items() if row["role"] == "config"]
    if not members:
        return Missing("No plot of confirmed accuracies: no confirmed config has completed yet.")
    places = {key: float(place) for place, key in enumerate(members)}
    figure = go.Figure()
    _add(figure, "confirmed config", BLUE, [Point(places[key], rows[key]) for key in members])
    for equal, (name, colour, offset) in BASELINES.items():
        points = [
            Point(places[pair["arm"], pair["member"]] + offset, baseline)
            for pair in comparisons
            if pair["metric"] == "accuracy"
            and pair["equal"] == equal
            and (pair["arm"], pair["member"]) in places
            and (baseline := rows.get((pair["baseline"], pair["baseline_member"]))) is not None
        ]
        if points:
            _add(figure, name, colour, points)
    labels = [f"{broken(arm)}<br><i>{member}</i>" for arm, member in members]
    figure.update_xaxes(title="accuracy on the test split")
    figure.update_yaxes(
        tickvals=list(places.values()), ticktext=labels, range=[len(members) - 0.5, -0.5],
        zeroline=False, showgrid=False,
    )  # fmt: skip
    return Plot(
        f"Confirmed accuracy of each member of each config, beside its baselines; bars are "
        f"intervals, and one training has none. {measured}",
        styled(figure, 130 + 62 * len(members)),
    )


def _add(figure: go.Figure, name: str, colour: str, points: Sequence[Point]) -> None:
    rows = [point.row for point in points]
    figure.add_scatter(
        x=[row["accuracy.mean"] for row in rows], y=[point.place for point in points],
        error_x={
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 5,
            "array": [_reach(row, "high") for row in rows],
            "arrayminus": [_reach(row, "low") for row in rows],
        },
        mode="markers", name=name, marker={"color": colour, "size": 9}, showlegend=True,
        customdata=[_words(row) for row in rows],
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def _reach(row: Row, end: str) -> float | None:
    value = row[f"accuracy.{end}"]
    return None if value is None else abs(value - row["accuracy.mean"])


def _words(row: Row) -> str:
    low, high = row["accuracy.low"], row["accuracy.high"]
    interval = "" if low is None else f" ({low:.4f} to {high:.4f})"
    return (
        f"{row['arm']}, {row['member']}<br>{row['mix']}, {row['method']}, {row['epochs']} epochs"
        f"<br>accuracy {row['accuracy.mean']:.4f}{interval}, n = {row['n']}"
        f"<br>{row['macs'] / 1e6:.2f} million MACs, {row['accelerator_s']:.1f} accelerator-seconds"
    )
