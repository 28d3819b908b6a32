"""The looks of confirmations at test splits, in the ledger of the storage path."""

from __future__ import annotations

from typing import NamedTuple

from ffl_ray.confirm.confirmation import KIND, Confirmation
from ffl_ray.results.description import read_description
from ffl_ray.results.guard import understood
from ffl_ray.results.openings import (
    Opening,
    digest,
    look_at,
    now,
    nth,
    record_opening,
    split_of_study,
)
from ffl_ray.results.storage.storage import Storage


class Look(NamedTuple):
    """A look, and where the ledger is.

    Attributes:
        place: the storage path, in which the studies are.
        split: names the test split.
    """

    place: Storage
    split: str
    opening: Opening


def look_of(confirmation: Confirmation, storage: Storage) -> Look:
    """The look of a confirmation whose study.json is written.

    Args:
        storage: its own folder.
    """
    description, study = read_description(storage), Storage(storage.parent)
    with understood(storage.location):
        split = split_of_study(description)
    plan = confirmation.registered
    # The version before registered nothing: what it trains with more seeds is another look.
    name = digest([confirmation.chosen, confirmation.seeds]) if plan is None else plan.hash
    whose, begun = f"{study.name}/{storage.name}", str(description.get("created", ""))
    opening = Opening(whose, KIND, name, len(confirmation.asked), now(), begun)
    return Look(Storage(study.parent), split, opening)


def record_look(confirmation: Confirmation, storage: Storage) -> None:
    """Write down that a confirmation is about to open a test split."""
    record_opening(*look_of(confirmation, storage))


def look_words(confirmation: Confirmation, storage: Storage) -> str:
    """Which look at its test split a confirmation is, and when its plan was registered."""
    look, plan = look_of(confirmation, storage), confirmation.registered
    number = look_at(*look)
    said = (
        "Planned by a version that registered nothing."
        if plan is None
        else f"Plan {plan.hash}, registered {plan.time[:19]} UTC, before the test split was opened."
    )
    if number is None:
        return said
    return f"{said} The {nth(number)} look at this test split from {look.place.location}."
