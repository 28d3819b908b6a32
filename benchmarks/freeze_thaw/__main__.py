"""Replay freeze-thaw on a grid: `python -m benchmarks.freeze_thaw STUDY`, with replay's options."""

from __future__ import annotations

import sys

from benchmarks.freeze_thaw.search import FreezeThaw
from ffl_ray import cli
from ffl_ray.replay.__main__ import parser
from ffl_ray.replay.command import replay


def main(arguments: list[str] | None = None) -> int:
    """The command's exit status."""
    args = parser().parse_args(arguments)
    args.candidate = args.candidate or [
        "sampler=tpe scheduler=asha",
        "sampler=random scheduler=asha",
    ]
    more = [FreezeThaw("freeze-thaw"), FreezeThaw("its model, nobody rests", rests=False)]
    return cli.guarded(args, lambda: replay(args, more))


if __name__ == "__main__":
    sys.exit(main())
