"""Replay freeze-thaw on a grid: `python -m benchmarks.freeze_thaw STUDY`, with replay's options.

`--variants` replays its two variants instead: a trial may rest after any epoch, and its model with
ASHA's rung. First it prints what of the grid limits any search.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.freeze_thaw.luck import luck_lines
from benchmarks.freeze_thaw.search import FreezeThaw
from ffl_ray import cli
from ffl_ray.replay.__main__ import parser as replay_parser
from ffl_ray.replay.command import replay
from ffl_ray.replay.grid import open_grid

FORMS = (FreezeThaw("freeze-thaw"), FreezeThaw("its model, nobody rests", rests=False))
VARIANTS = (
    FreezeThaw("freeze-thaw, rest after any epoch", at_once=True),
    FreezeThaw("its model, ASHA's rung", rests=False, stops=True),
)


def parser() -> argparse.ArgumentParser:
    """The command line: replay's, and which forms."""
    options = replay_parser()
    options.add_argument("--variants", action="store_true", help="replay its variants instead")
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command's exit status."""
    args = parser().parse_args(arguments)
    random = [] if args.variants else ["sampler=random scheduler=asha"]
    args.candidate = args.candidate or ["sampler=tpe scheduler=asha", *random]
    return cli.guarded(args, lambda: _replay(args))


def _replay(args: argparse.Namespace) -> int:
    grid = open_grid(args.study, args.storage_path)
    sys.stdout.write("\n".join(luck_lines(grid)) + "\n")
    return replay(args, VARIANTS if args.variants else FORMS)


if __name__ == "__main__":
    sys.exit(main())
