"""`compare study`: the same study as Ray's documentation writes it, by turns with ours."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from ffl_ray.bench import study
from ffl_ray.bench.figures import Figure, Found
from ffl_ray.bench.fixed_cost import TimedTrial, fixed_cost
from ffl_ray.bench.study import Measured, check_least, figures_of, run_study, settings

SHOWN = ("wall_s", "trial_s", "fixed_s", "seen_s")


def measured(args: argparse.Namespace) -> Found:
    """Our figures, the documented side's, and their ratio.

    Raises:
        SettingError: an option can't be used.
    """
    check_least(args, documented_trials=1)
    found, given = study.measured(args, {"documented": documented_study})
    more = compared(given["ours"], given["documented"], args.at_once)
    return found._replace(figures=[*found.figures, *more])


def documented_study(folder: Path, args: argparse.Namespace, epochs: int) -> Measured:
    """The study of `benchmarks.compare.documented`, a command of its own."""
    count, at_once = str(args.documented_trials), str(args.at_once)
    command = [
        *(sys.executable, "-m", "benchmarks.compare.documented", json.dumps(settings(epochs))),
        *(count, at_once, str(folder)),
    ]
    ran = run_study(command, folder)
    trials = [TimedTrial(**trial) for trial in json.loads((folder / "times.json").read_text())]
    return Measured(ran, trials, fixed_cost(trials, args.at_once, ran.ended - ran.started))


def compared(ours: list[Measured], theirs: list[Measured], at_once: int) -> list[Figure]:
    """The documented side's figures, and how many times ours its costs are."""
    fixed = [
        their.cost.after_first_s / our.cost.after_first_s
        for our, their in zip(ours, theirs, strict=True)
        if our.cost.after_first_s and their.cost.after_first_s
    ]
    n = len(theirs[0].trials)
    return [
        *(f for f in figures_of(theirs, "documented.", at_once) if f.name.endswith(SHOWN)),
        Figure(
            "documented.over_ours",
            statistics.median(fixed) if fixed else None,
            f"fixed_s of the one over the other; of {n} documented trials in each round",
        ),
    ]
