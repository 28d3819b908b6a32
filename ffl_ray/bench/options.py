"""The options of `bench`, subject by subject."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ffl_ray import cli

DEFAULT_MIX = "2*torchvision:resnet18"


class Subject(NamedTuple):
    """A subject: what is measured, and its options."""

    measures: str
    add_options: Callable[[argparse.ArgumentParser], None]


def add_subjects(
    parser: argparse.ArgumentParser, subjects: Mapping[str, Subject], out: str
) -> dict[str, argparse.ArgumentParser]:
    """A subcommand for each subject, by name, for more options.

    Args:
        out: where rows go by default.
    """
    commands = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    made = {}
    for name, (measures, add_options) in subjects.items():
        made[name] = commands.add_parser(
            name, help=measures, description=measures, allow_abbrev=False
        )
        made[name].add_argument(
            "--out", default=out, metavar="DIR", help=f"of the rows (default {out})"
        )
        made[name].add_argument(
            "--rounds",
            type=int,
            default=5,
            metavar="N",
            help="alternating rounds (default %(default)s)",
        )
        add_options(made[name])
    return made


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Settings of the training that is timed, and what of ours it is compared with."""
    cli.add_set(parser)
    parser.add_argument("--data-dir", metavar="DIR", help="the same as --set data.dir=DIR")
    parser.add_argument("--threads", type=int, metavar="N", help="of torch (default: all CPUs)")
    parser.add_argument(
        "--seconds", type=float, default=3.0, metavar="S", help="of one measurement (default 3)"
    )
    parser.add_argument(
        "--branches",
        type=_branch_counts,
        default=(),
        metavar="N,N",
        help="also 1 branch of the mix's first backbone against these counts",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="also N workers that share the threads"
    )
    parser.add_argument(
        "--precisions", action="store_true", help="also in the other of float32 and bfloat16"
    )
    parser.add_argument(
        "--operators", type=int, default=0, metavar="N", help="list the N dearest operators"
    )


def _branch_counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 2:
        raise argparse.ArgumentTypeError(f"takes counts from 2, such as 2,4,8, not {text!r}")
    return counts


def add_study_options(parser: argparse.ArgumentParser) -> None:
    """How long the study is, and the default study beside it."""
    parser.set_defaults(rounds=1)
    parser.add_argument(
        "--trials", type=int, default=40, metavar="N", help="of a second each (default 40)"
    )
    parser.add_argument(
        "--at-once", type=int, default=2, metavar="N", help="trials at once (default 2)"
    )
    parser.add_argument(
        "--default-study",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also run `python -m ffl_ray.tune` as it comes, some minutes",
    )


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Which files are read, by how many processes, for which training."""
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="measure on train/CLASS/ of this folder (default: photographs' like, made for it)",
    )
    parser.add_argument(
        "--num-images", type=int, default=400, metavar="N", help="in each round (default 400)"
    )
    parser.add_argument(
        "--processes",
        type=_process_counts,
        default=None,
        metavar="N,N",
        help="loader processes to measure (default 1, 2, 4... up to this machine's CPUs)",
    )
    parser.add_argument(
        "--step-images-per-s",
        type=float,
        metavar="X",
        help="what a training step takes, as `bench train` says (default: measured here)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting, by its dotted name; may be repeated "
        f"(default data.image_size=224, optim.batch_size=64, model.mix={DEFAULT_MIX})",
    )


def _process_counts(text: str) -> list[int]:
    counts = sorted({int(part) for part in text.split(",")})
    if counts[0] < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {counts[0]}")
    return counts


SUBJECTS = {
    "train": Subject(
        "images per second, where a step's time goes, share of the machine's peak, memory",
        add_train_options,
    ),
    "study": Subject("what a trial costs beyond its training", add_study_options),
    "input": Subject("how fast image files are read, decoded and augmented", add_input_options),
}
