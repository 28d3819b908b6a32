"""Every setting as a table."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from ffl_ray.config.overrides import flatten, settings, shown
from ffl_ray.config.settings import StudyConfig

WIDE = 10_000  # columns: in a pipe a setting is a line


def print_settings() -> None:
    """Print every setting with its default, unit and meaning; in a pipe a line for each."""
    table = Table(box=None, header_style="bold")
    for heading in ("setting", "default", "unit", "meaning"):
        table.add_column(heading, overflow="fold")
    defaults = flatten(StudyConfig())
    for setting in settings(StudyConfig):
        name, meaning = setting.name, setting.field.description or ""
        table.add_row(name, shown(defaults[name]), setting.marks.unit, meaning)
    width = None if sys.stdout.isatty() else WIDE
    Console(width=width, highlight=False, markup=False).print(table)
