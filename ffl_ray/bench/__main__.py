"""How fast it is here: `python -m ffl_ray.bench train|study|input`."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli
from ffl_ray.bench.options import SUBJECTS, add_subjects

DESCRIPTION = """Measure this machine: what a training step, a study and its input cost.

Shares and ratios come from one run, medians of rounds that alternate between the sides. The
figures are shown as a table and added as a row to the Parquet folder OUT/SUBJECT, which
pandas.read_parquet opens."""
DEFAULT_OUT = "~/ray_results/bench"


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("bench", DESCRIPTION)
    cli.add_json(made)
    add_subjects(made, SUBJECTS, DEFAULT_OUT)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _bench(args))


def _bench(args: argparse.Namespace) -> int:
    from ffl_ray.bench.measuring import MEASURES, measure

    return measure(args, MEASURES)


if __name__ == "__main__":
    sys.exit(main())
