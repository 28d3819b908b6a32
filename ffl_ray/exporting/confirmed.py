"""What a study's confirmation says of a member, when there is one."""

from __future__ import annotations

from typing import NamedTuple

from ffl_ray.results.storage import Storage

FOLDER = "confirmed"


class ConfirmedAccuracy(NamedTuple):
    """Accuracy on the test split over trainings of one config with new seeds.

    Attributes:
        mean: a fraction.
        low: lower end of the 95% interval.
        high: its upper end.
        seeds: how many trainings.
    """

    mean: float
    low: float
    high: float
    seeds: int


def confirmed_accuracy(storage: Storage, trial_id: str, member: str) -> ConfirmedAccuracy | None:
    """The confirmed accuracy of a trial's member; None where the study has none of it.

    Args:
        storage: of the study, whose confirmation is its folder `confirmed`.
    """
    del storage, trial_id, member
    return None
