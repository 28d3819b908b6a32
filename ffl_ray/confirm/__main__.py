"""Confirm a search: `python -m ffl_ray.confirm STUDY`; --help lists the options."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli

BASELINES = ("both", "epochs", "seconds", "none")
DESCRIPTION = """Train a search's best configs again with new seeds, and open the test split.

The best configs by validation are trained on train and val together, each with every seed, and
measured on the test split once, after the last epoch. Beside them the same branches without any
teaching: with as many epochs, so that inference costs the same, and with as many
accelerator-seconds. The tables of <STUDY>/confirmed say mean, 95% interval, and for each paired
difference better, worse or within noise.

The same command goes on where it stopped. More --seeds or a larger --top adds to what is there;
fewer --seeds goes on with the first of them.
Seeds are the first integers from 1000 on that the search did not use, equal for all configs."""


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("confirm", DESCRIPTION)
    cli.add_study(made, "?")
    made.add_argument("--top", type=int, default=3, metavar="K", help="configs (default 3)")
    made.add_argument("--seeds", type=int, default=5, metavar="N", help="of each (default 5)")
    made.add_argument(
        "--baselines",
        choices=BASELINES,
        default="both",
        help="independent trainings of equal epochs, of equal seconds, both, or none",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="show what would be trained and how long, and stop"
    )
    cli.add_common_options(made)
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command's exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _confirm(args))


def _confirm(args: argparse.Namespace) -> int:
    from ffl_ray.confirm.request import request_of

    request = request_of(args)  # what is wrong is refused before torch and Ray are loaded

    from ffl_ray.confirm.command import confirm

    return confirm(request)


if __name__ == "__main__":
    sys.exit(main())
