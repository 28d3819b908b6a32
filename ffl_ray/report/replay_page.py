"""The page of a replay: regret against accelerator-seconds, a line a candidate, and the table."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from ffl_ray.report.blocks import Plot, Section, Table
from ffl_ray.report.page import page
from ffl_ray.report.style import CYCLE, styled

BAND = 0.12


def replay_page(about: str, made: str, board: pd.DataFrame, curves: pd.DataFrame) -> str:
    """The whole file.

    Args:
        about: what was replayed.
        made: by which version.
        board: a row a candidate.
        curves: columns candidate, accelerator_s, regret, regret.low, regret.high.
    """
    plot = Plot(
        f"Mean regret with its 95% interval. {about}. A search answers with the best completed "
        f"trial; its regret is what that point is worth less than the best one, over all seeds.",
        regret_figure(curves),
    )
    table = Table("leaderboard", "Half is half of the seconds; gains are paired by repeat.", board)
    return page("Replay", made, [Section("Regret", [plot, table])])


def regret_figure(curves: pd.DataFrame) -> go.Figure:
    """A line with a band for each candidate, on a logarithmic axis of regret."""
    figure = go.Figure()
    for place, (name, group) in enumerate(curves.groupby("candidate", sort=False)):
        colour = CYCLE[place % len(CYCLE)]
        figure.add_scatter(
            x=[*group["accelerator_s"], *group["accelerator_s"][::-1]],
            y=[*group["regret.high"], *group["regret.low"].clip(lower=0)[::-1]],
            fill="toself", fillcolor=_clear(colour), line={"width": 0}, hoverinfo="skip",
            showlegend=False, legendgroup=str(name),
        )  # fmt: skip
        figure.add_scatter(
            x=group["accelerator_s"], y=group["regret"], mode="lines", name=str(name),
            legendgroup=str(name), line={"color": colour, "width": 2},
            hovertemplate=f"{name}<br>%{{x:.0f}} s: %{{y:.4f}}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="accelerator-seconds")
    most = float(curves.groupby("candidate")["regret"].quantile(0.9).max())
    figure.update_yaxes(title="regret", range=[0, most])
    return styled(figure, 480)


def _clear(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{BAND})"
