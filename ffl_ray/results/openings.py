"""The ledger of test splits: who opened which, and when, kept where the studies are.

A test split that was looked at often is a validation split. A look is one plan of one study,
however many trainings it has: each opens the split once, after its last epoch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ffl_ray.data.facts import DataFacts, facts_in
from ffl_ray.results.storage.storage import Storage

FOLDER = "test-openings"
ORDINALS = {1: "st", 2: "nd", 3: "rd"}


class Opening(NamedTuple):
    """A look at a test split.

    Attributes:
        study: who looked.
        kind: confirm or reproduce.
        plan: hash of what was registered before.
        trainings: how many the plan has.
        time: when it was written, before any of them began; UTC.
        begun: when its study was; the same plan in a folder that was moved away is another look.
    """

    study: str
    kind: str
    plan: str
    trainings: int
    time: str
    begun: str = ""

    @property
    def identity(self) -> tuple[str, ...]:
        """What no two looks share."""
        return self.study, self.kind, self.plan, self.begun


def digest(values: object) -> str:
    """A hash of plain values, 16 hexadecimal digits."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def named_test_split(settings: Mapping[str, Any], facts: DataFacts) -> str:
    """The hash that names a test split, whatever share of its data set is trained on.

    Of image files it is made of their contents; else of the data set's name, classes and counts.

    Args:
        settings: dotted, of a training.
    """
    if facts.test_contents:
        return digest([facts.classes, facts.test_counts, facts.test_contents])
    return digest([settings["data.name"], facts.classes, facts.counts])


def split_of_study(description: Mapping[str, Any]) -> str:
    """The hash that names the test split of a confirmation.

    Args:
        description: what its study.json says.

    Raises:
        ValueError: it holds what no facts are.
    """
    facts = facts_in(description.get("data") or {})
    return named_test_split(description["arms"][0]["settings"], facts)


def record_opening(place: Storage, split: str, opening: Opening) -> None:
    """Write a look down, unless it is there already.

    Args:
        place: the storage path, in which the studies are.
        split: names the test split.
    """
    name = digest(opening.identity)
    file = f"{FOLDER}/{split}/{name}.json"
    if place.read(file) is None:
        place.make_folder(f"{FOLDER}/{split}")
        place.write(file, json.dumps(opening._asdict(), indent=2).encode())


def look_at(place: Storage, split: str, opening: Opening) -> int | None:
    """Which look at a test split one is, from 1; none: it is not written down."""
    looks = enumerate(openings_of(place, split), start=1)
    return next((number for number, one in looks if one.identity == opening.identity), None)


def openings_of(place: Storage, split: str) -> list[Opening]:
    """The looks at a test split, the first first; one that can't be read is somebody's, too."""
    folder = f"{FOLDER}/{split}"
    found = [_opening(place.read(f"{folder}/{name}")) for name in place.names(folder)]
    return sorted(found, key=lambda one: (one.time, one.study, one.plan))


def _opening(data: bytes | None) -> Opening:
    try:
        values = json.loads(data or b"")
        study, kind, plan = (str(values[name]) for name in Opening._fields[:3])
        time, begun = str(values["time"]), str(values.get("begun", ""))
        return Opening(study, kind, plan, int(values["trainings"]), time, begun)
    except (ValueError, LookupError, TypeError):
        return Opening("unreadable", "", "", 0, "")


def now() -> str:
    """The time in UTC, to the microsecond: two looks of one second keep their order."""
    return datetime.now(UTC).isoformat()


def nth(number: int) -> str:
    """A number as an ordinal, in English."""
    last = number % 10 if number % 100 not in (11, 12, 13) else 0
    return f"{number}{ORDINALS.get(last, 'th')}"
