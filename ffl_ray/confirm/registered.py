"""The registered plan: what is compared is written down and hashed before the test split opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ffl_ray.config.older import of_today
from ffl_ray.errors import StudyError
from ffl_ray.results.description import MOVES
from ffl_ray.results.openings import digest, now

# What a plan says; what else stands in study.json may follow the machine.
PLANNED = ("chosen", "seeds", "primary", "pairs", "looks")
MAY_MOVE = {*MOVES, "data.download"}


class Registered(NamedTuple):
    """A plan as it was registered.

    Attributes:
        plan: arms with their settings, pairs, the primary one, margin, seeds, number of looks.
        hash: of it.
        time: when; UTC.
    """

    plan: dict[str, Any]
    hash: str
    time: str


def registered(description: Mapping[str, Any]) -> Registered:
    """The plan that a confirmation's study.json describes, registered now."""
    plan = json.loads(json.dumps(_plan(description), default=str))
    return Registered(plan, digest(plan), now())


def _plan(description: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: description.get(name) for name in PLANNED},
        "settings": _fixed(description["settings"]),
        "arms": [_arm(arm) for arm in description["arms"]],
    }


def _arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan says of an arm: also of the search that its settings come from."""
    plan = {"name": arm["name"], "settings": _fixed(of_today(arm["settings"]))}
    return plan | ({"tuned": arm["tuned"]} if arm.get("tuned") else {})


def _fixed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in MAY_MOVE}


def loaded(description: Mapping[str, Any], location: str) -> Registered | None:
    """The plan that a study.json says was registered; none in one of the version before.

    Raises:
        StudyError: it is not the one whose hash stands there, or not the one that is followed.
    """
    if description.get("registered") is None:
        return None
    found = Registered(**description["registered"])
    live = _plan(description)
    arms = [_arm(arm) for arm in found.plan["arms"]]  # as the version before named its settings
    same = all(found.plan[name] == live[name] for name in (*PLANNED, "settings"))
    if digest(found.plan) != found.hash or arms != live["arms"] or not same:
        raise StudyError(
            f"{location}/study.json: the plan is not the one that was registered, {found.hash}, "
            f"before the test split opened: put the copy of study.json in its place"
        )
    return found


def check_unchanged(
    place: str, was: Mapping[str, object], asked: Mapping[str, object], plan: str
) -> None:
    """Check that a plan whose test split was opened is the one that is asked for.

    Args:
        place: of the confirmation, for the message.
        was: options of the registered plan.
        asked: the same of what is asked for.
        plan: its hash.

    Raises:
        StudyError: they differ.
    """
    changed = [
        f"{name} was {was[name]} and is {asked[name]}" for name in was if was[name] != asked[name]
    ]
    if changed:
        raise StudyError(
            f"{place} goes on only with the plan {plan}, registered before its test split was "
            f"opened, and {'; '.join(changed)}: give the registered options, or move {place} "
            f"away, and the new plan is another look at that test split"
        )
