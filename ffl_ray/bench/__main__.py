"""How fast it is here: `python -m ffl_ray.bench train|study|tables|input`."""

from __future__ import annotations

import argparse
import importlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ffl_ray import cli
from ffl_ray.errors import SettingError

if TYPE_CHECKING:
    from ffl_ray.bench.figures import Found

DESCRIPTION = """Measure this machine: what a training step, a study, its tables and its input cost.

Shares and ratios come from one run, medians of rounds that alternate between the sides. The
figures are shown as a table and added as a row to the Parquet folder OUT/SUBJECT, which
pandas.read_parquet opens."""
DEFAULT_OUT = "~/ray_results/bench"
SUBJECTS = {
    "train": "images per second, where a step's time goes, share of the machine's peak, memory",
    "study": "what a trial costs beyond its training",
    "tables": "how fast result tables are written and read",
    "input": "how fast image files are read, decoded and augmented",
}


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("bench", DESCRIPTION)
    subjects = made.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    for name, meaning in SUBJECTS.items():
        sub = subjects.add_parser(name, help=meaning, description=meaning, allow_abbrev=False)
        sub.add_argument(
            "--out", default=DEFAULT_OUT, metavar="DIR", help=f"of the rows (default {DEFAULT_OUT})"
        )
        sub.add_argument(
            "--rounds",
            type=int,
            default=5,
            metavar="N",
            help="alternating rounds (default %(default)s)",
        )
        importlib.import_module(f"ffl_ray.bench.{name}").add_options(sub)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _bench(args))


def _bench(args: argparse.Namespace) -> int:
    if args.rounds < 1:
        raise SettingError(f"--rounds must be at least 1, not {args.rounds}")
    run = importlib.import_module(f"ffl_ray.bench.{args.subject}").run
    found: Found = run(args)
    _show(found)
    place = _store(found, Path(args.out).expanduser())
    sys.stdout.write(f"\none row more in {place}\n")
    return 0


def _show(found: Found) -> None:
    from rich.table import Table

    from ffl_ray.bench.machine import machine_facts
    from ffl_ray.console.terminal import make_console

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


def _store(found: Found, out: Path) -> Path:
    """Add the figures as one Parquet part to the subject's folder."""
    import pandas as pd

    from ffl_ray.bench.machine import machine_facts

    now = datetime.now(UTC)
    row = {"time": now, **machine_facts(), **{f.name: f.value for f in found.figures}}
    folder = out / found.subject
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"part-{now:%Y%m%dT%H%M%S%f}.parquet"
    pd.DataFrame([row]).to_parquet(part, index=False)
    return folder


if __name__ == "__main__":
    sys.exit(main())
