"""The blocks of a report: tables, plots, sentences and code, in sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


class Table(NamedTuple):
    """Rows, as measured: each format rounds for itself.

    Attributes:
        name: of its CSV file.
        caption: what it shows, of which data.
        frame: its rows.
        folded: whether a page shows it on demand only.
    """

    name: str
    caption: str
    frame: pd.DataFrame
    folded: bool = False


class Plot(NamedTuple):
    """A figure and what it shows, of which data."""

    caption: str
    figure: go.Figure


class Pictures(NamedTuple):
    """Small pictures, each with what it shows; a page alone has them.

    Attributes:
        caption: of all.
        shown: a text and a JPEG file of each.
    """

    caption: str
    shown: Sequence[tuple[str, bytes]]


class Note(NamedTuple):
    """A paragraph."""

    text: str


class Missing(NamedTuple):
    """A sentence in place of a plot or table: why there is none."""

    text: str


class Code(NamedTuple):
    """A source text, shown on demand."""

    title: str
    text: str


Block = Table | Plot | Pictures | Note | Missing | Code


class Section(NamedTuple):
    """A heading and what stands under it."""

    title: str
    blocks: list[Block]
