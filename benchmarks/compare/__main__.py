"""Ours beside what others do: `python -m benchmarks.compare train|study|tables|input`."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli
from ffl_ray.bench.options import SUBJECTS, Subject, add_subjects

DESCRIPTION = """What `python -m ffl_ray.bench` measures, and tables, by turns with what others do.

train: the authors' program; study: a TorchTrainer in each trial, as Ray's documentation writes it;
tables: Ray's ResultGrid; input: torchvision's ImageFolder. The figures are shown as a table and
added as a row to the Parquet folder OUT/SUBJECT."""
DEFAULT_OUT = "~/ray_results/compare"


def add_tables_options(parser: argparse.ArgumentParser) -> None:
    """The size of the made study."""
    parser.add_argument(
        "--trials", type=int, default=10_000, metavar="N", help="of the made study (default 10000)"
    )
    parser.add_argument(
        "--epochs", type=int, default=300, metavar="N", help="of each trial (default 300)"
    )


TABLES = Subject("how fast result tables are written and read", add_tables_options)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subjects = add_subjects(made, SUBJECTS | {"tables": TABLES}, DEFAULT_OUT)
    subjects["train"].add_argument(
        "--against",
        metavar="DIR",
        required=True,
        help="the authors' program, a clone of Jangho-Kim/FFL-pytorch (CIFAR-100)",
    )
    subjects["study"].add_argument(
        "--documented-trials",
        type=int,
        default=4,
        metavar="N",
        help="of the same study as Ray's documentation writes it, half a minute each (default 4)",
    )
    subjects["tables"].add_argument(
        "--ray-trials",
        type=int,
        default=200,
        metavar="N",
        help="of the trials, those that Ray's ResultGrid reads too, from JSON (default 200)",
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _compare(args))


def _compare(args: argparse.Namespace) -> int:
    from benchmarks.compare.measuring import MEASURES
    from ffl_ray.bench.measuring import measure

    return measure(args, MEASURES)


if __name__ == "__main__":
    sys.exit(main())
