"""`bench study`: what a trial costs beyond its training, by studies that run as commands."""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType
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
from ffl_ray.config.methods import resolved_from
from ffl_ray.errors import FFLRayError, SettingError
from ffl_ray.orchestration.local import LocalSession
from ffl_ray.planning.layout import available_cpus
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.session import Report
from ffl_ray.training.worker import run_worker

TRIAL_S = 1.0
CALIBRATION_EPOCHS = 8


class Measured(NamedTuple):
    """A study that was run and timed.

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


Study = Callable[[Path, argparse.Namespace, int], Measured]
Given = dict[str, list[Measured]]


def measured(
    args: argparse.Namespace, others: Mapping[str, Study] = MappingProxyType({})
) -> tuple[Found, Given]:
    """The figures, and the study that each side ran in each round.

    Args:
        others: studies that take turns with ours; each takes a folder, the options, and how many
            epochs a trial has.

    Raises:
        SettingError: an option can't be used.
    """
    check_least(args, trials=2, at_once=1)
    epochs = epochs_of_a_trial(_seconds_of_an_epoch(args.at_once))
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            name: partial(_in_a_new_folder, Path(folder), study, args, epochs)
            for name, study in {"ours": _short_study, **others}.items()
        }
        given = alternated(sides, args.rounds)
        default = [_default_study(Path(folder) / "default")] if args.default_study else []
    title = (
        f"a study of {args.trials} trials of {epochs} epochs, {args.at_once} at once, n = "
        f"{args.rounds}; costs are seconds of a slot, a place for one trial"
    )
    figures = [
        Figure("trials", args.trials),
        Figure("at_once", args.at_once),
        Figure("epochs_per_trial", epochs, "of two ResNet-8 branches on the embedded digits"),
        *figures_of(given["ours"], "", args.at_once),
        *(figures_of(default, "default.", available_cpus()) if default else ()),
    ]
    return Found("study", title, figures), given


def check_least(args: argparse.Namespace, **least: int) -> None:
    """Check numbers of the command line.

    Raises:
        SettingError: one is too small.
    """
    for name, value in least.items():
        if getattr(args, name) < value:
            flag = f"--{name.replace('_', '-')}"
            raise SettingError(f"{flag} must be at least {value}, not {getattr(args, name)}")


def _in_a_new_folder(within: Path, study: Study, args: argparse.Namespace, epochs: int) -> Measured:
    return study(Path(tempfile.mkdtemp(dir=within)), args, epochs)


def _seconds_of_an_epoch(at_once: int) -> float:
    """Seconds of a short trial's epoch here, while as many others train beside it."""
    with ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn")) as pool:
        return statistics.median(pool.map(seconds_of_an_epoch, range(at_once)))


def seconds_of_an_epoch(_: int = 0) -> float:
    """Median seconds of an epoch in this process, with one thread; the first is left out."""
    reports: list[Report] = []
    config = resolved_from(settings(CALIBRATION_EPOCHS))
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
    ran = run_study(command, folder)
    trials = trials_of_study(folder / "study")
    cost = fixed_cost(trials, at_once, ran.ended - ran.started)
    return Measured(ran, trials, cost, cpu_in_steps(folder / "study"))


def run_study(command: list[str], folder: Path) -> Ran:
    """A study's command, run to its end.

    Raises:
        FFLRayError: it failed.
    """
    ran = run_watched(command, folder / "output.txt")
    if ran.status:
        raise FFLRayError(f"{' '.join(command[1:4])} ended with {ran.status}: {ran.output}")
    return ran


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
    """The share of that CPU time in training steps."""
    total = cpu_s(study)
    return study.in_steps_s / total if total and study.in_steps_s is not None else None


FIGURES: tuple[tuple[str, Callable[[Measured], float | None], str], ...] = (
    ("wall_s", lambda study: study.ran.ended - study.ran.started, "of the whole command"),
    (
        "trial_s",
        lambda study: statistics.median(trial.trained_s for trial in study.trials),
        "training and validation of a trial, median",
    ),
    ("start_s", first_s, "until the first trial trains"),
    ("first_report_s", first_report_s, "until its first epoch is over"),
    (
        "fixed_s",
        lambda study: study.cost.after_first_s,
        "beyond training, of a slot, a trial, after the first trial",
    ),
    (
        "in_trial_s",
        lambda study: study.cost.in_trial_s,
        "of it between a trial's start and end",
    ),
    (
        "seen_s",
        lambda study: study.cost.seen_s,
        "a trial, start-up included: (wall_s - training / {at_once}) / trials",
    ),
    ("cpu_s", cpu_s, "of all processes, from the first step to the last trial's end"),
    ("cpu_share_in_steps", cpu_share, "of cpu_s"),
    ("driver_cpu_s", lambda study: cpu_s(study, DRIVER), "of it the driver's"),
)


def figures_of(studies: list[Measured], prefix: str, at_once: int) -> list[Figure]:
    """Medians over the studies' rounds."""
    made = []
    for name, value_of, meaning in FIGURES:
        known = [value for study in studies if (value := value_of(study)) is not None]
        middle = statistics.median(known) if known else None
        made.append(Figure(prefix + name, middle, meaning.format(at_once=at_once)))
    return made
