"""The time that a study has been trained for, whatever lay between its starts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ffl_ray.results.guard import understood
from ffl_ray.results.reader import read_rows
from ffl_ray.results.storage.storage import Storage

Span = tuple[datetime, datetime]


def trained_s(storage: Storage) -> float:
    """Seconds in which at least one trial of a study was trained, by its epochs.

    Raises:
        StudyError: the table is damaged.
    """
    with understood(storage.location):
        return covered_s(_span(row) for row in read_rows(storage, "epochs"))


def covered_s(spans: Iterable[Span]) -> float:
    """Seconds that lie in at least one of some spans of time."""
    covered, reached = timedelta(), datetime.min.replace(tzinfo=UTC)
    for begin, end in sorted(spans):
        covered += max(end - max(begin, reached), timedelta())
        reached = max(end, reached)
    return covered.total_seconds()


def _span(row: dict[str, Any]) -> Span:
    return row["time"] - timedelta(seconds=row["epoch_s"] or 0.0), row["time"]
