"""The time that a study was trained for, without what lay between its starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ffl_ray.results.spent import covered_s

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(0, 10)], 10.0),
        ([(0, 10), (10, 15)], 15.0),
        ([(0, 10), (5, 15)], 15.0),  # two trials at once
        ([(0, 20), (5, 10), (20, 30)], 30.0),
        ([(5_000, 5_010), (0, 10)], 20.0),  # a night between them
    ],
)
def test_overlapping_epochs_count_once_and_gaps_not_at_all(
    spans: list[tuple[int, int]], seconds: float
) -> None:
    at = [(NOON + timedelta(seconds=a), NOON + timedelta(seconds=b)) for a, b in spans]

    assert covered_s(at) == seconds
