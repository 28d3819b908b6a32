"""Confirm a search: `python -m ffl_ray.confirm STUDY`; --help lists the options."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli
from ffl_ray.errors import SettingError

ARMS = ("alone", "together", "untaught", "same_macs", "default")
PICKS = ("best", "knee", "front")
ARMS_HELP = (
    "baselines, each to separate a cause (default alone together). alone: a branch's backbone by "
    "itself, of equal inference MACs; together: the same branches that share nothing and are not "
    "taught, their trunk counted once each; untaught: the same network, teaching off, equal MACs; "
    "same_macs: one deeper or wider network of the fused classifier's MACs; default: the search's "
    "default point, whatever its MACs"
)
BASELINES = ("both", "epochs", "seconds", "seconds_alone", "none")
DESCRIPTION = """Train a search's best configs again with new seeds, and open the test split.

The best configs by validation (by the mean, where one was trained with several seeds), or those of
--pick or --trial, are trained on train and val together, each with every seed, and measured on the
test split once, after the last epoch. Beside them baselines (--arms) that nobody taught, or the
search's default point, with as many epochs, and with as many accelerator-seconds of training
(--baselines). The tables of <STUDY>/confirmed say mean, 95% interval, and for each paired
difference better, worse, equal (within --margin), or undecided: then also the least difference that
would have been seen, and how many seeds would settle it in a new plan of a fixed --seeds, with what
they cost.

The plan is registered before the test split opens; the same command goes on where it stopped, and
other options are refused from then on. Every look at a test split is counted in the storage path.
Seeds are the first integers from 1000 on that the search did not use, equal for all configs."""

WITH_ACROSS = {"across", "storage_path", "margin", "one_object"}
# Seeds, place and settings follow from the study; predictions are kept in any case.
PASSED_OVER = ("name", "seed", "data.skip_bad_files", "compute.predictions")


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("confirm", DESCRIPTION)
    cli.add_study(made, "?")
    _add_configs(made)
    _add_seeds(made)
    _add_comparisons(made)
    made.add_argument(
        "--dry-run", action="store_true", help="show what would be trained and how long, and stop"
    )
    cli.add_json(made)
    cli.add_common_options(made, without=PASSED_OVER)
    return made


def _add_configs(made: argparse.ArgumentParser) -> None:
    made.add_argument("--top", type=int, metavar="K", help="configs (default 3)")
    made.add_argument(
        "--pick",
        choices=PICKS,
        default="best",
        help="best: those ranked best (the default); front: those with a member that no other "
        "beats in all objectives; knee: the one at the knee of accuracy against MACs",
    )
    made.add_argument(
        "--trial", nargs="+", default=[], metavar="ID", help="these, whatever their rank"
    )


def _add_seeds(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="of each (default 5); with --until-decided, the fewest (default 4)",
    )
    made.add_argument(
        "--until-decided",
        action="store_true",
        help="add seeds where a verdict on accuracy is open; the error over all looks, up to "
        "--max-seeds, is 5%% at most",
    )
    made.add_argument(
        "--max-seeds",
        type=int,
        metavar="N",
        help="with --until-decided, the most of each (default 20, at most 30)",
    )


def _add_comparisons(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--baselines",
        choices=BASELINES,
        default="both",
        help="of equal epochs, of equal seconds, both, epochs and for the arm alone seconds too "
        "(seconds_alone), or none",
    )
    made.add_argument(
        "--arms",
        nargs="+",
        choices=ARMS,
        default=list(ARMS[:2]),
        metavar="ARM",
        help=ARMS_HELP,
    )
    made.add_argument(
        "--tune-baselines",
        type=int,
        metavar="N",
        help="first search for each baseline, on validation data, with N trials over what the "
        "search varied and applies to it (optimiser, augmentation, label smoothing, for alone "
        "backbones of no more MACs); else it inherits the config's settings",
    )
    made.add_argument(
        "--margin",
        type=float,
        default=0.5,
        metavar="M",
        help="points of accuracy; smaller differences do not matter (default 0.5)",
    )
    made.add_argument(
        "--across",
        nargs="+",
        metavar="STUDY",
        help="train nothing: one verdict on the mean of the primary comparisons of several "
        "confirmed studies",
    )


def main(arguments: list[str] | None = None) -> int:
    """The command's exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _confirm(args))


def _check_alone(args: argparse.Namespace) -> None:
    """Check that no option stands beside --across that it would not read."""
    unset = vars(parser().parse_args([]))
    given = [name for name, value in vars(args).items() if value != unset[name]]
    if unread := sorted({*given} - WITH_ACROSS):
        options = ["STUDY" if one == "study" else f"--{one.replace('_', '-')}" for one in unread]
        raise SettingError(
            f"--across must be without {', '.join(options)}: it trains nothing, and names its "
            f"studies itself"
        )


def _confirm(args: argparse.Namespace) -> int:
    if args.across:
        _check_alone(args)
        from ffl_ray.confirm.across import across

        return across(args.across, args.storage_path, args.margin)
    from ffl_ray.confirm.request import request_of

    request = request_of(args)  # what is wrong is refused before torch and Ray are loaded

    from ffl_ray.confirm.command import confirm

    return confirm(request)


if __name__ == "__main__":
    sys.exit(main())
