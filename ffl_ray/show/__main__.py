"""Watch a study, from any machine: `python -m ffl_ray.show STUDY`; --help lists the options."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli

DESCRIPTION = """Show a study that runs, or has ended, from its tables: a folder or a URI, on this
machine or another. Nothing of it is changed, and its driver is not asked. In a terminal the view is
kept up to date until the study has ended, or until Ctrl-C; in a pipe it is written once.

--enqueue and --stop leave a file in the study's folder, which its driver reads: a point is tried
next, in the place of one that the sampler would have drawn; a stop is what Ctrl-C is to the driver,
and the same command goes on from there. Who may write the folder may steer the study."""


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("show", DESCRIPTION)
    cli.add_study(made)
    made.add_argument(
        "--every",
        type=float,
        metavar="S",
        help="seconds (default 2); given, it waits for who goes on with a study that was left",
    )
    made.add_argument("--once", action="store_true", help="show it once, in a terminal too")
    made.add_argument(
        "--enqueue",
        action="append",
        default=[],
        metavar="POINT",
        help='try this next, such as "model.mix=2*resnet20 fusion.design=sum"; may be given again',
    )
    made.add_argument("--stop", action="store_true", help="have its driver stop")
    cli.add_storage_path(made)
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command's exit status."""
    args = parser().parse_args(arguments)
    return cli.refusing(args, lambda: _show(args))


def _show(args: argparse.Namespace) -> int:
    from ffl_ray.show.command import show

    return show(args)


if __name__ == "__main__":
    sys.exit(main())
