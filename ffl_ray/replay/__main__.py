"""Replay searches on a grid: `python -m ffl_ray.replay STUDY`; --help lists the options."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli

DESCRIPTION = """Judge samplers and schedulers on a study that tried everything: nothing is trained.

STUDY is a grid whose points were all trained to their end (--sampler grid --scheduler none, with
several seeds). Its curves and seconds are replayed through the searcher and the stopping rule of
`tune`. Regret against accelerator-seconds, paired by repeat, is printed and written to
STUDY/replay: replay.html and Parquet."""


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("replay", DESCRIPTION)
    cli.add_study(made)
    made.add_argument("--repeats", type=int, default=200, metavar="N", help="(default 200)")
    made.add_argument(
        "--budget",
        type=float,
        default=40.0,
        metavar="N",
        help="of each search, in full trainings of the grid's mean seconds (default 40)",
    )
    made.add_argument(
        "--candidate",
        action="append",
        default=[],
        metavar="SETTINGS",
        help="settings of a search without their prefix, such as 'sampler=gp scheduler=none'; may "
        "be given again; random without stopping is always there",
    )
    made.add_argument("--workers", type=int, metavar="N", help="trials at once (default as stored)")
    made.add_argument("--jobs", type=int, metavar="N", help="processes (default all CPUs)")
    cli.names_files(
        made.add_argument("--out", metavar="DIR", help="where to write (default STUDY/replay)")
    )
    cli.add_storage_path(made)
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command's exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _replay(args))


def _replay(args: argparse.Namespace) -> int:
    from ffl_ray.replay.command import replay

    return replay(args)


if __name__ == "__main__":
    sys.exit(main())
