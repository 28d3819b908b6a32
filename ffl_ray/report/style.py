"""The style of every figure: one font, one set of colours, nothing that a phone cuts off."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import plotly.graph_objects as go
import plotly.io

# Okabe and Ito's colours, which colour-blind readers tell apart.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#9aa0a6"
CYCLE = [BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", "#E69F00", "#7f5539", "#444444"]
STATUS = {
    "completed": BLUE,
    "pruned": GREY,
    "running": ORANGE,
    "interrupted": ORANGE,
    "failed": PURPLE,
}
MEMBER = {"branch": GREEN, "ensemble": BLUE, "fused": ORANGE}
LABEL_LENGTH = 22
LEGEND = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0}


@cache
def template() -> dict[str, Any]:
    """What every figure has of plotly's own style; a page adds it, for plotly copies it slowly."""
    found: dict[str, Any] = plotly.io.templates["plotly_white"].to_plotly_json()
    return found


def styled(figure: go.Figure, height: int = 400) -> go.Figure:
    """A figure in the report's style but for `template`; its title is the caption's business."""
    figure.update_layout(
        title=None,
        colorway=CYCLE,
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#222222"},
        margin={"l": 12, "r": 12, "t": 36, "b": 12},
        legend={**LEGEND, "title": None},
        hoverlabel={"align": "left"},
        height=height,
        width=None,
        autosize=True,
    )
    figure.update_xaxes(automargin=True, title_standoff=8)
    figure.update_yaxes(automargin=True, title_standoff=8)
    figure.layout.template = None
    return figure


def broken(label: str, length: int = LABEL_LENGTH, lines: int = 6) -> str:
    """A long label on several lines, broken behind + and _; what is longer still is cut.

    The module of a backbone of torchvision's or of one's own stays out.
    """
    label = re.sub(r"[\w.]+:", "", label)
    found = [""]
    for word in _words(label, length):
        if found[-1] and len(found[-1]) + len(word) > length:
            found.append("")
        found[-1] += word
    cut = [line if len(line) <= length else f"{line[: length - 1]}…" for line in found]
    return "<br>".join(cut[:lines]) + ("…" if len(cut) > lines else "")


def _words(label: str, length: int) -> list[str]:
    """The backbones of a mix, and the pieces of each that is too long for a line."""
    return [
        word
        for name in re.findall(r"[^+]+\+?|\+", label)
        for word in (re.findall(r"[^_]+_?|_", name) if len(name) > length else [name])
    ]
