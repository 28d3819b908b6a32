"""A report as one HTML file that asks nobody for anything.

plotly.js stands in it once, its licence with it; a content security policy has the browser refuse
any request, whatever a library may try.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
import plotly.io
from plotly.offline import get_plotlyjs

from ffl_ray.console.plain_text import printable
from ffl_ray.report.blocks import Block, Code, Missing, Pictures, Plot, Section, Table
from ffl_ray.report.numbers import readable_frame
from ffl_ray.report.style import template

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
SHORT, LONG = 12, 32
CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "displayModeBar": "hover",
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}


def page(name: str, made: str, sections: Sequence[Section]) -> str:
    """The whole file.

    Args:
        name: of the study.
        made: when, and by which version.
    """
    has_plots = any(isinstance(block, Plot) for section in sections for block in section.blocks)
    script = f"<script>{get_plotlyjs()}</script>" if has_plots else ""
    links = "".join(
        f'<a href="#s{number}">{_safe(section.title)}</a>'
        for number, section in enumerate(sections)
    )
    body = "\n".join(_section(number, section) for number, section in enumerate(sections))
    style = resources.files("ffl_ray.report").joinpath("style.css").read_text()
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{_safe(name)}</title>
<style>
{style}</style>
{script}
</head>
<body>
<main>
<h1>{_safe(name)}</h1>
<p class="caption">{_safe(made)}</p>
<nav>{links}</nav>
{body}
</main>
</body>
</html>
"""


def _section(number: int, section: Section) -> str:
    blocks = "\n".join(
        _block(f"p{number}-{place}", block) for place, block in enumerate(section.blocks)
    )
    return f'<section id="s{number}">\n<h2>{_safe(section.title)}</h2>\n{blocks}\n</section>'


def _block(identity: str, block: Block) -> str:
    if isinstance(block, Plot):
        return _figure(identity, block)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Pictures):
        return _pictures(block)
    if isinstance(block, Code):
        return _folded(block.title, f"<pre>{_safe(block.text)}</pre>")
    kind = ' class="missing"' if isinstance(block, Missing) else ""
    return f"<p{kind}>{_safe(block.text)}</p>"


def _safe(text: str) -> str:
    """A text that a page shows as it is."""
    return escape(printable(text))


def _figure(identity: str, plot: Plot) -> str:
    figure = _safe_in_plot(plot.figure.to_plotly_json())
    figure["layout"]["template"] = template()
    drawn = plotly.io.to_html(
        figure, validate=False, full_html=False, include_plotlyjs=False, config=CONFIG,
        div_id=identity, default_width="100%",
    )  # fmt: skip
    return f"<figure>{drawn}<figcaption>{_safe(plot.caption)}</figcaption></figure>"


def _safe_in_plot(part: Any) -> Any:
    """A part of a figure in which no text is a link: plotly shows some tags, and ours are few."""
    if isinstance(part, str):
        return re.sub(r"<(?!/?(b|br|i|extra)>)", "&lt;", printable(part))
    if isinstance(part, Mapping):
        return {name: _safe_in_plot(value) for name, value in part.items()}
    if isinstance(part, list | tuple) or (isinstance(part, np.ndarray) and part.dtype.hasobject):
        return [_safe_in_plot(value) for value in part]
    return part


def _table(table: Table) -> str:
    rows = f'<div class="scroll">{_rows(table.frame)}</div>'
    if table.folded:
        return _folded(table.caption, rows)
    caption = f'<p class="caption">{_safe(table.caption)}</p>' if table.caption else ""
    return f"{caption}{rows}"


def _pictures(block: Pictures) -> str:
    """Pictures side by side."""
    figures = "".join(
        f'<figure><img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">'
        f"<figcaption>{_safe(text)}</figcaption></figure>"
        for text, picture in block.shown
    )
    return f'<p class="caption">{_safe(block.caption)}</p><div class="pictures">{figures}</div>'


def _folded(title: str, inside: str) -> str:
    return f"<details><summary>{_safe(title)}</summary>{inside}</details>"


def _rows(frame: pd.DataFrame) -> str:
    """The rows, numbers to the right."""
    kinds = ["number" if pd.api.types.is_numeric_dtype(frame[n]) else "text" for n in frame.columns]
    shown = readable_frame(frame)
    head = _row("th", list(shown.columns), kinds)
    body = "\n".join(_row("td", row, kinds) for row in shown.itertuples(index=False))
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _row(tag: str, cells: Sequence[object], kinds: Sequence[str]) -> str:
    inside = "".join(
        f'<{tag} class="{kind}">{_breakable(str(cell), SHORT if tag == "th" else LONG)}</{tag}>'
        for cell, kind in zip(cells, kinds, strict=True)
    )
    return f"<tr>{inside}</tr>"


def _breakable(text: str, length: int) -> str:
    """A text that may be broken behind each + of a mix, and in a longer one at . and _ too."""
    safe = _safe(text)
    for mark in "+._" if len(text) > length else "+":
        safe = safe.replace(mark, f"{mark}<wbr>")
    return safe
