"""What a benchmark found, and rounds that alternate between the sides it compares."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

ROUNDS = 5
Value = TypeVar("Value")


class Figure(NamedTuple):
    """One measured or computed number.

    Attributes:
        name: of its column, unit last: `images_per_s`, `forward_s`.
        value: none when this machine can't tell.
        meaning: what a reader of the table is told beside it.
    """

    name: str
    value: float | int | str | None
    meaning: str = ""


class Found(NamedTuple):
    """The figures of one run of a benchmark.

    Attributes:
        subject: train, study, tables or input.
        title: what was measured, in a line.
        figures: in the order in which they are shown; their names are columns of one row.
        lines: what is said below the table.
    """

    subject: str
    title: str
    figures: list[Figure]
    lines: tuple[str, ...] = ()


def alternated(
    sides: Mapping[str, Callable[[], Value]], rounds: int = ROUNDS
) -> dict[str, list[Value]]:
    """What each side gives, once per round, by turns.

    Whatever slows the machine for a while slows every side, so that their ratio holds. Every
    other round goes backwards: no side is always the one after the same other.
    """
    given: dict[str, list[Value]] = {name: [] for name in sides}
    for index in range(rounds):
        names = list(sides)
        order = names if index % 2 == 0 else names[::-1]
        for name in order:
            given[name].append(sides[name]())
    return given


def ratio(over: list[float], under: list[float]) -> float:
    """Median of the rounds' ratios: each round's two measurements are neighbours in time."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))
