"""The ledger of test splits: each look once, in order, whoever looked."""

from __future__ import annotations

from pathlib import Path

from ffl_ray.data.facts import DataFacts
from ffl_ray.results.openings import (
    FOLDER,
    Opening,
    look_at,
    named_test_split,
    nth,
    openings_of,
    record_opening,
)
from ffl_ray.results.storage.storage import Storage

DIGITS = {"data.name": "digits", "data.fraction": 1.0}
FACTS = DataFacts("ab", 100, 0, 2, ("0", "1"), (50, 50))
FIRST = Opening("a/confirmed", "confirm", "1234", 60, "2026-01-01T00:00:00")
SECOND = Opening("b", "reproduce", "5678", 3, "2026-01-02T00:00:00")


def test_a_look_is_written_once_and_counted_in_order(tmp_path: Path) -> None:
    place = Storage(str(tmp_path))
    assert look_at(place, "split", FIRST) is None
    for opening in (FIRST, SECOND, FIRST._replace(time="2026-02-01", trainings=99)):
        record_opening(place, "split", opening)
    record_opening(place, "another", SECOND)
    moved = FIRST._replace(time="2026-01-03", begun="2026-01-03")  # the folder, and planned again
    record_opening(place, "split", moved)

    assert openings_of(place, "split") == [FIRST, SECOND, moved]
    assert look_at(place, "split", SECOND) == 2
    assert look_at(place, "another", SECOND) == 1


def test_a_look_that_can_not_be_read_still_counts(tmp_path: Path) -> None:
    place = Storage(str(tmp_path))
    record_opening(place, "split", FIRST)
    (tmp_path / FOLDER / "split" / "other.json").write_text("{")

    assert look_at(place, "split", FIRST) == 2


def test_a_test_split_has_one_name_whatever_share_is_trained_on() -> None:
    part = FACTS._replace(split_hash="cd", num_train=10, contents=("x", "y"))

    assert named_test_split(DIGITS, FACTS) == named_test_split(DIGITS | {"seed": 3}, part)
    others = [
        named_test_split({"data.name": "cifar10"}, FACTS),
        named_test_split(DIGITS, FACTS._replace(test_contents=("x", "y"))),
        named_test_split(DIGITS, FACTS._replace(test_contents=("x", "z"))),
    ]
    assert len({named_test_split(DIGITS, FACTS), *others}) == 4


def test_looks_are_counted_in_english() -> None:
    assert [nth(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip
