"""The options of a confirmation, checked by themselves: what can't be, or not beside another."""

from __future__ import annotations

import argparse

from ffl_ray.confirm.compared import check_margin
from ffl_ray.errors import SettingError
from ffl_ray.results.description import read_description
from ffl_ray.results.guard import understood
from ffl_ray.results.looks import FIRST_LOOK, MOST_SEEDS
from ffl_ray.results.storage.storage import Storage

RACE_SEEDS = 20


def check_options(args: argparse.Namespace, most: int = MOST_SEEDS) -> None:
    """Check the options by themselves, whatever the study.

    Args:
        most: seeds of a race.

    Raises:
        SettingError: one can't be, or not beside another.
    """
    if args.study is None:
        raise SettingError("STUDY must name a search, by its name or folder")
    counts = {"--top": args.top, "--seeds": args.seeds, "--tune-baselines": args.tune_baselines}
    for option, value in counts.items():
        if value is not None and value < 1:
            raise SettingError(f"{option} must be at least 1, not {value}")
    if args.until_decided:
        _check_race(args, most)
    elif args.max_seeds is not None:
        raise SettingError(
            f"--max-seeds must be with --until-decided, not {args.max_seeds} by itself: --seeds "
            f"says how many of each"
        )
    if args.trial and (args.top is not None or args.pick != "best"):
        raise SettingError("--trial names the configs, and goes without --top and --pick")
    if args.baselines == "seconds_alone" and "alone" not in args.arms:
        raise SettingError(
            f"--baselines seconds_alone must be with alone among --arms, not {' '.join(args.arms)}"
        )
    if args.tune_baselines is not None and args.baselines == "none":
        raise SettingError("--tune-baselines must be with baselines, not --baselines none")
    check_margin(args.margin)


def _check_race(args: argparse.Namespace, most: int) -> None:
    if args.baselines == "none":
        raise SettingError(
            "--until-decided must be with baselines, not --baselines none, with which there is no "
            "verdict"
        )
    first = first_look(args)
    if first < FIRST_LOOK:
        raise SettingError(
            f"--seeds must be {FIRST_LOOK} at least with --until-decided, whose first look it is, "
            f"not {first}"
        )
    if not first < most_seeds(args) <= most:
        raise _no_race(args)


def _no_race(args: argparse.Namespace) -> SettingError:
    """The error that a race can't have so many seeds."""
    return SettingError(
        f"--max-seeds must be above {first_look(args)} and at most {MOST_SEEDS}, beyond which more "
        f"than 5% of races may end with a false verdict, not {most_seeds(args)}"
    )


def check_begun(args: argparse.Namespace, storage: Storage) -> None:
    """Check that a race of more seeds than a new one may have was planned by the version before.

    Args:
        storage: of its confirmation.

    Raises:
        SettingError: it was not.
    """
    if not args.until_decided or most_seeds(args) <= MOST_SEEDS:
        return
    with understood(storage.location):
        before = read_description(storage)["seeds"] if storage.exists("study.json") else ()
        if len(before) != most_seeds(args):
            raise _no_race(args)


def most_seeds(args: argparse.Namespace) -> int:
    """Seeds of an arm at the last look of a race."""
    most: int | None = args.max_seeds
    return RACE_SEEDS if most is None else most


def first_look(args: argparse.Namespace) -> int:
    """Seeds of all arms before a race looks for the first time."""
    return args.seeds or FIRST_LOOK
