"""What a study costs beyond its training, from when its trials and their epochs ended."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ffl_ray.results.reader import records


class TimedTrial(NamedTuple):
    """The times of a trial's work; moments are seconds since 1970.

    Attributes:
        started: when the driver started it.
        ended: when the driver had ended it.
        epochs: the end and the seconds of each epoch, training and validation.
    """

    started: float
    ended: float
    epochs: list[tuple[float, float]]

    @property
    def trained_s(self) -> float:
        """Seconds in which it trained and validated."""
        return sum(seconds for _, seconds in self.epochs)

    @property
    def begun(self) -> float:
        """The moment at which its first epoch began."""
        return min(end - seconds for end, seconds in self.epochs)


class FixedCost(NamedTuple):
    """Seconds a trial costs beyond its training and validation.

    Attributes:
        after_first_s: of a slot, from the first trial's end to the last one's: what a slot loses
            between two trainings. None when less than one whole trial is in that time.
        in_trial_s: median over the trials, between a trial's start and its end.
        seen_s: of the wall, all start-up included: the command's time less what the training
            alone takes when every slot trains without a pause, over the trials.
        trials: how many the first is measured on; one counts by the share of it in that time.
    """

    after_first_s: float | None
    in_trial_s: float
    seen_s: float
    trials: float


def fixed_cost(trials: Sequence[TimedTrial], slots: int, wall_s: float) -> FixedCost:
    """The cost of a study's trials beyond their training.

    Args:
        slots: trials at once.
        wall_s: of the whole command.
    """
    start, end = min(t.ended for t in trials), max(t.ended for t in trials)
    counted = sum(_overlap(t.started, t.ended, start, end) / (t.ended - t.started) for t in trials)
    trained = sum(
        _overlap(moment - seconds, moment, start, end)
        for t in trials
        for moment, seconds in t.epochs
    )
    total = sum(t.trained_s for t in trials)
    return FixedCost(
        after_first_s=(slots * (end - start) - trained) / counted if counted >= 1 else None,
        in_trial_s=statistics.median(t.ended - t.started - t.trained_s for t in trials),
        seen_s=(wall_s - total / slots) / len(trials),
        trials=counted,
    )


def _overlap(start: float, end: float, from_: float, to: float) -> float:
    return max(0.0, min(end, to) - max(start, from_))


def trials_of_study(folder: Path) -> list[TimedTrial]:
    """The trials of a study's tables."""
    epochs: dict[str, list[tuple[float, float]]] = {}
    for row in records(pd.read_parquet(folder / "epochs")):
        epochs.setdefault(row["trial_id"], []).append((row["time"].timestamp(), row["epoch_s"]))
    return [
        TimedTrial(row["started"].timestamp(), row["ended"].timestamp(), epochs[row["trial_id"]])
        for row in records(pd.read_parquet(folder / "trials"))
    ]


def cpu_in_steps(folder: Path) -> float:
    """CPU seconds of a study's training steps."""
    return float(pd.read_parquet(folder / "epochs", columns=["train_cpu_s"])["train_cpu_s"].sum())
