"""A subject measured, shown as a table, and stored as a row."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from rich.table import Table

from ffl_ray.bench import input as image_input
from ffl_ray.bench import study, train
from ffl_ray.bench.figures import Found
from ffl_ray.bench.machine import machine_facts
from ffl_ray.console.json_object import tell
from ffl_ray.console.terminal import make_console
from ffl_ray.errors import SettingError
from ffl_ray.files import expanded

Measure = Callable[[argparse.Namespace], Found]
MEASURES: Mapping[str, Measure] = {
    "train": lambda args: train.measured(args)[0],
    "study": lambda args: study.measured(args)[0],
    "input": lambda args: image_input.measured(args)[0],
}


def measure(args: argparse.Namespace, measures: Mapping[str, Measure]) -> int:
    """Measure what was asked for, show and store it; returns the exit status.

    Raises:
        SettingError: an option can't be used.
    """
    if args.rounds < 1:
        raise SettingError(f"--rounds must be at least 1, not {args.rounds}")
    found = measures[args.subject](args)
    show(found)
    place = store(found, expanded(args.out))
    tell(
        subject=found.subject,
        title=found.title,
        machine=machine_facts(),
        figures={figure.name: figure.value for figure in found.figures},
        table=str(place),
    )
    sys.stdout.write(f"\none row more in {place}\n")
    return 0


def show(found: Found) -> None:
    """Print the figures and the machine."""
    console = make_console()
    facts = machine_facts()
    console.out(
        f"{found.title}\n{facts['machine.cpu']}, {facts['machine.cpus']} CPUs, GPU: "
        f"{facts['machine.gpu']}; torch {facts['version.torch']}\n"
    )
    table = Table(box=None, header_style="bold")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for figure in found.figures:
        table.add_row(figure.name, _shown(figure.value), figure.meaning)
    console.print(table)
    for line in found.lines:
        console.out(line)


def _shown(value: float | int | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.4g}"


def store(found: Found, out: Path) -> Path:
    """The subject's folder, with the figures added as one Parquet part."""
    now = datetime.now(UTC)
    row = {"time": now, **machine_facts(), **{f.name: f.value for f in found.figures}}
    folder = out / found.subject
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"part-{now:%Y%m%dT%H%M%S%f}.parquet"
    pd.DataFrame([row]).to_parquet(part, index=False)
    return folder
