"""The studies that `bench study` runs, each a command of its own, and their figures."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ffl_ray.bench import short_trials
from ffl_ray.bench.figures import Figure, Found, alternated
from ffl_ray.bench.fixed_cost import (
    FixedCost,
    TimedTrial,
    cpu_in_steps,
    fixed_cost,
    trials_of_study,
)
from ffl_ray.bench.watched import DRIVER, Ran, run_watched
from ffl_ray.errors import FFLRayError, SettingError
from ffl_ray.planning.layout import available_cpus

TRIAL_S = 1.0
CALIBRATION_EPOCHS = 8


class Measured(NamedTuple):
    """One study.

    Attributes:
        ran: its command.
        trials: as they were timed.
        cost: beyond their training.
        in_steps_s: CPU seconds of training steps; None where they were not counted.
    """

    ran: Ran
    trials: list[TimedTrial]
    cost: FixedCost
    in_steps_s: float | None = None


def measure(args: argparse.Namespace) -> Found:
    """Both sides by turns, then the default study."""
    for name, least in (("trials", 2), ("at_once", 1), ("documented_trials", 0)):
        if getattr(args, name) < least:
            flag = f"--{name.replace('_', '-')}"
            raise SettingError(f"{flag} must be at least {least}, not {getattr(args, name)}")
    epochs = epochs_of_a_trial(_seconds_of_an_epoch(args.at_once))
    ours: list[Measured] = []
    theirs: list[Measured] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sides = {"ours": _kept(ours, lambda: _short_study(folder / str(len(ours)), args, epochs))}
        if args.documented_trials:
            sides["documented"] = _kept(
                theirs, lambda: _documented_study(folder / f"documented{len(theirs)}", args, epochs)
            )
        alternated(sides, args.rounds)
        default = [_default_study(folder / "default")] if args.default_study else []
    return Found(
        "study",
        f"a study of {args.trials} trials of {epochs} epochs, {args.at_once} at once, n = "
        f"{args.rounds}; costs are seconds of a slot, a place for one trial",
        [
            Figure("trials", args.trials),
            Figure("at_once", args.at_once),
            Figure("epochs_per_trial", epochs, "of two ResNet-8 branches on the embedded digits"),
            *figures_of(ours, "", args.at_once),
            *(compared(ours, theirs, args.at_once) if theirs else ()),
            *(figures_of(default, "default.", available_cpus()) if default else ()),
        ],
    )


def _kept(into: list[Measured], study: Callable[[], Measured]) -> Callable[[], float]:
    """A side of `alternated` that keeps what it measured."""

    def side() -> float:
        into.append(study())
        return into[-1].cost.seen_s

    return side


def _seconds_of_an_epoch(at_once: int) -> float:
    """What an epoch of a short trial takes here while as many others train beside it."""
    with ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn")) as pool:
        return statistics.median(pool.map(seconds_of_an_epoch, range(at_once)))


def seconds_of_an_epoch(_: int = 0) -> float:
    """The same in this process, with one thread; the first epoch is left out."""
    from ffl_ray.config.overrides import with_overrides
    from ffl_ray.config.settings import Config
    from ffl_ray.orchestration.local import LocalSession
    from ffl_ray.results.storage.storage import Storage
    from ffl_ray.training.session import Report
    from ffl_ray.training.worker import run_worker

    reports: list[Report] = []
    config = with_overrides(Config(), settings(CALIBRATION_EPOCHS))
    with tempfile.TemporaryDirectory() as folder:
        run_worker(config, LocalSession(Storage(folder), 1, reports.append))
    return statistics.median(float(report.row["epoch_s"]) for report in reports[1:])


def epochs_of_a_trial(epoch_s: float) -> int:
    """How many epochs come closest to a second."""
    return max(1, round(TRIAL_S / epoch_s))


def settings(epochs: int) -> dict[str, object]:
    """The config of a short trial, but for what is searched."""
    base = {n: v for n, v in short_trials.BASE.items() if not n.startswith("search.")}
    return base | {"optim.epochs": epochs}


def _short_study(folder: Path, args: argparse.Namespace, epochs: int) -> Measured:
    folder.mkdir()
    command = [
        *(sys.executable, "-m", "ffl_ray.tune", short_trials.__file__, "--name", "study"),
        *("--storage-path", str(folder), "--set", f"optim.epochs={epochs}"),
        *("--num-samples", str(args.trials), "--max-concurrent-trials", str(args.at_once)),
        *("--set", "compute.device=cpu", "--cpus-per-trial", "1"),
    ]
    return _study(command, folder, args.at_once)


def _default_study(folder: Path) -> Measured:
    folder.mkdir()
    command = [
        *(sys.executable, "-m", "ffl_ray.tune", "--name", "study", "--storage-path", str(folder))
    ]
    return _study(command, folder, available_cpus())


def _study(command: list[str], folder: Path, at_once: int) -> Measured:
    ran = _run(command, folder)
    trials = trials_of_study(folder / "study")
    cost = fixed_cost(trials, at_once, ran.ended - ran.started)
    return Measured(ran, trials, cost, cpu_in_steps(folder / "study"))


def _documented_study(folder: Path, args: argparse.Namespace, epochs: int) -> Measured:
    folder.mkdir()
    count, at_once = str(args.documented_trials), str(args.at_once)
    command = [
        *(sys.executable, "-m", "benchmarks.compare.documented", json.dumps(settings(epochs))),
        *(count, at_once, str(folder)),
    ]
    ran = _run(command, folder)
    trials = [TimedTrial(**trial) for trial in json.loads((folder / "times.json").read_text())]
    return Measured(ran, trials, fixed_cost(trials, args.at_once, ran.ended - ran.started))


def _run(command: list[str], folder: Path) -> Ran:
    ran = run_watched(command, folder / "output.txt")
    if ran.status:
        raise FFLRayError(f"{' '.join(command[1:4])} ended with {ran.status}: {ran.output}")
    return ran


def figures_of(studies: list[Measured], prefix: str, at_once: int) -> list[Figure]:
    """Medians over the studies' rounds."""

    def middle(name: str, values: Iterable[float | None], meaning: str) -> Figure:
        known = [value for value in values if value is not None]
        return Figure(prefix + name, statistics.median(known) if known else None, meaning)

    costs = [study.cost for study in studies]
    return [
        middle("wall_s", (s.ran.ended - s.ran.started for s in studies), "of the whole command"),
        middle(
            "trial_s",
            (statistics.median(t.trained_s for t in s.trials) for s in studies),
            "training and validation of a trial, median",
        ),
        middle("start_s", (first_s(s) for s in studies), "until the first trial trains"),
        middle(
            "first_report_s", (first_report_s(s) for s in studies), "until its first epoch is over"
        ),
        middle(
            "fixed_s",
            (cost.after_first_s for cost in costs),
            "beyond training, of a slot, a trial, after the first trial",
        ),
        middle(
            "in_trial_s", (c.in_trial_s for c in costs), "of it between a trial's start and end"
        ),
        middle(
            "seen_s",
            (cost.seen_s for cost in costs),
            f"a trial, start-up included: (wall_s - training / {at_once}) / trials",
        ),
        middle(
            "cpu_s",
            (cpu_s(s) for s in studies),
            "of all processes, from the first step to the last trial's end",
        ),
        middle(
            "cpu_share_in_steps",
            (cpu_share(s) for s in studies),
            "of cpu_s",
        ),
        middle("driver_cpu_s", (cpu_s(s, DRIVER) for s in studies), "of it the driver's"),
    ]


def first_s(study: Measured) -> float:
    """Seconds from the command to the first training step."""
    return min(trial.begun for trial in study.trials) - study.ran.started


def first_report_s(study: Measured) -> float:
    """Seconds from the command to the end of the first epoch."""
    return min(end for trial in study.trials for end, _ in trial.epochs) - study.ran.started


def cpu_s(study: Measured, role: str | None = None) -> float | None:
    """CPU seconds from the first training step to the last trial's end, of all or of one role."""
    start = min(trial.begun for trial in study.trials)
    used = study.ran.cpu_between(start, max(trial.ended for trial in study.trials))
    if used is None:
        return None
    return sum(used.values()) if role is None else used.get(role, 0.0)


def cpu_share(study: Measured) -> float | None:
    """How much of that CPU time training steps took."""
    total = cpu_s(study)
    return study.in_steps_s / total if total and study.in_steps_s is not None else None


def compared(ours: list[Measured], theirs: list[Measured], at_once: int) -> list[Figure]:
    """The documented side's figures, and how many times ours its costs are."""
    pairs = list(zip(ours, theirs, strict=True))
    fixed = [
        their.cost.after_first_s / our.cost.after_first_s
        for our, their in pairs
        if our.cost.after_first_s and their.cost.after_first_s
    ]
    kept = ("wall_s", "trial_s", "fixed_s", "seen_s")
    n = len(theirs[0].trials)
    return [
        *(f for f in figures_of(theirs, "documented.", at_once) if f.name.endswith(kept)),
        Figure(
            "documented.over_ours",
            statistics.median(fixed) if fixed else None,
            f"fixed_s of the one over the other; of {n} documented trials in each round",
        ),
    ]
