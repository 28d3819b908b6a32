"""Train one config: `python -m ffl_ray.train [--set NAME=VALUE]...`; --help lists the options."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli

DESCRIPTION = """Train the branches, the ensemble and the fused classifier of one config.

One worker trains in this process; --num-workers N trains on Ray Train with
DistributedDataParallel, on this machine or on the cluster at --address. The same command with
the same --name goes on from the last finished epoch."""


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("train", DESCRIPTION)
    cli.add_common_options(made, trials=False)
    made.add_argument(
        "--dry-run", action="store_true", help="show what it will take, measured here, and stop"
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _train(args))


def _train(args: argparse.Namespace) -> int:
    from ffl_ray.orchestration.train_run import run_training

    return run_training(args, cli.overrides_of(args), cli.resources_of(args, 1))


if __name__ == "__main__":
    sys.exit(main())
