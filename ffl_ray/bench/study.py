"""`bench study`: what a trial costs beyond its training."""

from __future__ import annotations

import argparse

from ffl_ray.bench.figures import Found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subject's options."""
    parser.set_defaults(rounds=1)
    parser.add_argument(
        "--trials", type=int, default=40, metavar="N", help="of a second each (default 40)"
    )
    parser.add_argument(
        "--at-once", type=int, default=2, metavar="N", help="trials at once (default 2)"
    )
    parser.add_argument(
        "--documented-trials",
        type=int,
        default=4,
        metavar="N",
        help="of the same study as Ray's documentation writes it, a TorchTrainer a trial: half a "
        "minute each; 0: none (default 4)",
    )
    parser.add_argument(
        "--default-study",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also run `python -m ffl_ray.tune` as it comes, some minutes",
    )


def run(args: argparse.Namespace) -> Found:
    """Run the studies, and tell what they cost."""
    from ffl_ray.bench.studies import measure

    return measure(args)
