"""What a study's confirmation says of a member, when there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ffl_ray.confirm.tables import FOLDER, read_confirmed
from ffl_ray.results.storage.storage import Storage

Row = dict[str, Any]


class ConfirmedAccuracy(NamedTuple):
    """Accuracy on the test split over trainings of one config with new seeds.

    Attributes:
        mean: a fraction.
        low: lower end of the 95% interval; none: there was one training.
        high: its upper end.
        seeds: how many trainings.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def words(self) -> str:
        """The mean, and its interval where there is one."""
        if self.low is None or self.high is None:
            return f"{self.mean:.4f} (one training, so no interval)"
        return f"{self.mean:.4f} (95% interval {self.low:.4f} to {self.high:.4f})"


def confirmed_accuracy(storage: Storage, trial_id: str, member: str) -> ConfirmedAccuracy | None:
    """The confirmed accuracy of a trial's member; None where the study has none of it.

    Args:
        storage: of the study, whose confirmation is its folder `confirmed`.
    """
    summary = read_confirmed(storage.child(FOLDER))["summary"]
    return _accuracy([row for row in summary if row["trial_id"] == trial_id], member)


def accuracy_of_run(storage: Storage, run_id: str, member: str) -> ConfirmedAccuracy | None:
    """The confirmed accuracy of the config that one of a confirmation's trainings had.

    Args:
        storage: the folder `confirmed` of a study.
    """
    found = read_confirmed(storage)
    arms = {row["run_id"]: row["arm"] for row in found["runs"]}
    return _accuracy([row for row in found["summary"] if row["arm"] == arms.get(run_id)], member)


def _accuracy(rows: Sequence[Row], member: str) -> ConfirmedAccuracy | None:
    for row in rows:
        if row["member"] == member and row["accuracy.mean"] is not None:
            return ConfirmedAccuracy(
                row["accuracy.mean"], row["accuracy.low"], row["accuracy.high"], row["n"]
            )
    return None
