"""What came out of a search, in a line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ffl_ray.orchestration.outcome import how_many


@pytest.mark.parametrize(
    ("ages", "said"),
    [
        ([1, 30, 59], "3 trials in 1:00"),
        ([1, 30, 61, 6000], "4 trials, 2 of them in 1:00"),
        ([1, None], "2 trials, 1 of them in 1:00"),
        ([61, 6000], "2 trials"),
    ],
)
def test_seconds_are_those_of_the_trials_that_ended_now(ages: list[int | None], said: str) -> None:
    now = datetime.now(UTC)
    rows = [{"ended": age and now - timedelta(seconds=age)} for age in ages]

    assert how_many(rows, "trials", 60.0) == said
