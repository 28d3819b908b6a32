"""A table in whatever room there is: names break where a person would, and nothing is left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

BACKBONE, WORD = re.compile(r"[^+]+[+]*|[+]+"), re.compile(r"[^_ ]+[_ ]*|[_ ]+")
ROOMY = 104  # characters; in less, columns stand closer
ANY = 10_000
NARROWEST = 4


class BrokenName:
    """A mix, a design or a few words as a cell; a mix breaks behind its backbones."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces = (BACKBONE if "+" in text else WORD).findall(text)

    @property
    def least_width(self) -> int:
        """Characters of its longest piece."""
        return max(map(len, self._pieces), default=0)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, len(self.text)).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [""]
        for piece in self._pieces:
            if lines[-1] and len(lines[-1]) + len(piece) > options.max_width:
                lines.append("")
            lines[-1] += piece
        yield Text("\n".join(line.rstrip() for line in lines), overflow="fold")


class Fitted:
    """A table whose columns of names are as narrow as they must be, and no other one is."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self._table
        table.collapse_padding = options.max_width < ROOMY
        named = [column for column in table.columns if _names_of(column)]
        for column in named:
            column.width = None
        whole = Measurement.get(console, options.update(max_width=ANY), table).maximum
        widths = _narrowed(named, whole - options.max_width)
        for column, width in zip(named, widths, strict=True):
            column.width = width
        yield table


def _names_of(column: Column) -> list[BrokenName]:
    return [cell for cell in column.cells if isinstance(cell, BrokenName)]


def _narrowed(columns: Sequence[Column], excess: int) -> list[int]:
    """Widths of columns, less by so many characters together.

    The one that is furthest from breaking a piece gives way first, then the widest.
    """
    heads = [len(str(column.header)) for column in columns]
    names = [_names_of(column) for column in columns]
    most = [max(h, *(len(n.text) for n in of)) for h, of in zip(heads, names, strict=True)]
    least = [max(h, *(n.least_width for n in of)) for h, of in zip(heads, names, strict=True)]
    widths = list(most)
    for _ in range(excess):
        room = [max(w - kept, 0) for w, kept in zip(widths, least, strict=True)]
        place = max(range(len(widths)), key=lambda i: (room[i], widths[i]), default=None)
        if place is None or widths[place] <= NARROWEST:
            break
        widths[place] -= 1
    return widths
