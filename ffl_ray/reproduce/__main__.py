"""Published tables, trained again: `python -m ffl_ray.reproduce TABLE`; --help has the options."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli

DESCRIPTION = """Train what is published as a named program or paper does, and hold ours against it.

TABLE is pcl-cifar100, pcl-cifar10, cmff-cifar100, ffsd-cifar100, mcl-cifar100 or anchors; without
it they are listed with what they cost. Every row is trained on the whole training split with
several seeds and measured on the test split once, after its last epoch.

The verdict of a row: in band when our mean lies within two published standard deviations of the
published mean (anchors: in the plausible range) and our 95% interval is no wider than that (of an
open range: does not pass its end), out of band when our whole interval lies outside, undecided
between the two. --epochs, --fraction, --backbone and --set scale a run down or change it: the
output then says so, and gives no verdict; nor does a single seed.

The same command with the same --name goes on: finished trainings stay. --rows and --seeds may
grow."""


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("reproduce", DESCRIPTION)
    made.add_argument("table", nargs="?", metavar="TABLE")
    made.add_argument("--list", action="store_true", help="list the tables, or the rows of TABLE")
    made.add_argument(
        "--rows",
        nargs="+",
        action="extend",
        default=[],
        metavar="ROW",
        help="only these, such as resnet-32/ffl-s or resnet-32/* or */pcl",
    )
    cli.add_common_options(made, without=("compute.predictions",))  # always kept
    scale = made.add_argument_group("scale")
    scale.add_argument("--seeds", type=int, metavar="N", help="trainings of each row (default 3)")
    scale.add_argument("--epochs", type=int, metavar="E", help="in place of 300")
    scale.add_argument("--fraction", type=float, metavar="F", help="share of the training images")
    scale.add_argument("--backbone", metavar="NAME", help="in place of every row's own")
    scale.add_argument("--dry-run", action="store_true", help="how many trainings and hours; stop")
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command's exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _reproduce(args))


def _reproduce(args: argparse.Namespace) -> int:
    from ffl_ray.reproduce.reproduction import reproduction_of
    from ffl_ray.reproduce.view import show_published

    if args.table is None or args.list:
        return show_published(args.table)
    asked = reproduction_of(args)  # what is wrong is refused before torch and Ray are loaded

    from ffl_ray.reproduce.command import reproduce

    return reproduce(asked, args)


if __name__ == "__main__":
    sys.exit(main())
