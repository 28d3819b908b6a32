"""A report of a study: `python -m ffl_ray.report STUDY`; --help lists the options."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli

DESCRIPTION = """Write what a study found, finished or still running, as one HTML file.

The page opens offline and asks nobody for anything: what was searched, the best trials, learning
curves, accuracy against inference cost, importance of each hyperparameter, failures, and where
the numbers come from. --format md writes the tables as Markdown, --format csv as CSV files."""
FORMATS = ("html", "md", "csv")


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray, optuna nor plotly."""
    made = cli.new_parser("report", DESCRIPTION)
    cli.add_study(made)
    made.add_argument("--format", choices=FORMATS, default="html", help="(default html)")
    made.add_argument(
        "--out",
        metavar="PATH",
        help="html: a file (default STUDY/report.html); md: a file (default: printed); csv: a "
        "folder (default STUDY/report)",
    )
    cli.add_json(made)
    cli.add_storage_path(made)
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command's exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> int:
    from ffl_ray.report.command import report

    return report(args)


if __name__ == "__main__":
    sys.exit(main())
