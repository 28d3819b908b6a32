"""The console of a command, a clock's reading of seconds, and news of a storage that is gone."""

from __future__ import annotations

import functools
import logging
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ffl_ray.console.plain_text import printable, spelled_out

PIPE_WIDTH = 160
TERMINAL_WIDTH = 80  # where it has none
LABEL = re.compile(r"\S*  +")
STORAGE_LOGGER = "ffl_ray.storage"


class Unpadded:
    """Tables whose lines end with their last word, not with the spaces that fill a column."""

    def __init__(self, tables: RenderableType) -> None:
        self._tables = tables

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in console.render_lines(self._tables, options, pad=False):
            yield Segment("".join(segment.text for segment in line).rstrip() + "\n")


class PlainConsole(Console):
    """A console on which texts are texts: none is markup, an emoji's name or a control sequence.

    In a pipe the lines of its tables end with their last word.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        tables = () if self.is_terminal else (Group, Table)
        shown = [Unpadded(one) if isinstance(one, tables) else one for one in objects]
        super().print(*shown, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else spelled_out(text), style, control)


def make_console() -> Console:
    """The console on the real standard output, whatever is redirected meanwhile.

    It is one for all: what is printed while a live view is there appears above it.
    """
    return _console_on(sys.__stdout__)


@functools.lru_cache(maxsize=1)
def _console_on(out: TextIO | None) -> Console:
    piped = out is None or not out.isatty()
    console = PlainConsole(
        file=out, highlight=False, markup=False, emoji=False, width=PIPE_WIDTH if piped else None
    )
    if console.width < 1:  # COLUMNS=0, as some terminals have it, prints nothing
        console.width = TERMINAL_WIDTH
    return console


class Prose:
    """Words of which a terminal's lines break between two; behind a label they stay behind it."""

    def __init__(self, text: str, style: str = "") -> None:
        self._text, self._style = text, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(_on(console, self._text, options.max_width), style=self._style)


def say(console: Console, text: str) -> None:
    """Print prose: on a terminal its lines break between words, elsewhere they are whole."""
    console.out(_on(console, text, console.width))


def for_errors(text: str) -> str:
    """Prose for standard error: on a terminal its lines break between words."""
    if sys.stderr is None or not sys.stderr.isatty():
        return text
    return _broken(text, max(Console(stderr=True).width, 0) or TERMINAL_WIDTH)


def _on(console: Console, text: str, width: int) -> str:
    if not console.is_terminal:
        return text
    return "\n".join(_broken(line, width) for line in text.split("\n"))


def _broken(line: str, width: int) -> str:
    label = LABEL.match(line)
    indent = " " * (label.end() if label and label.end() < width // 2 else 0)
    wrapped = textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(wrapped)


class StorageNews(logging.Handler):
    """Prints a line when the storage stops answering, and when it answers again."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        say(self._console, printable(record.getMessage()))


@contextmanager
def storage_news(console: Console) -> Iterator[None]:
    """Print the news of the storage meanwhile, beside what goes to the log."""
    logger, handler = logging.getLogger(STORAGE_LOGGER), StorageNews(console)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def duration(seconds: float) -> str:
    """Seconds as 4:05 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def hours(seconds: float) -> str:
    """Seconds in the unit that a person plans in."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
