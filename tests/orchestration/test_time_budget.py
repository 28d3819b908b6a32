"""A study's time budget, counted on a clock that nobody sets."""

from __future__ import annotations

import time

import pytest

from ffl_ray.orchestration.time_budget import TimeBudget


def test_a_study_ends_once_its_seconds_are_over() -> None:
    budget = TimeBudget(0.2)

    before = budget.stop_all()
    time.sleep(0.25)

    assert (before, budget.stop_all()) == (False, True)
    assert not budget("00000", {})


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
def test_a_clock_that_is_set_neither_ends_a_study_nor_keeps_it(
    jump_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = TimeBudget(0.2)
    budget.stop_all()
    jumped = time.time() + jump_s
    monkeypatch.setattr("time.time", lambda: jumped)

    before = budget.stop_all()
    time.sleep(0.25)

    assert (before, budget.stop_all()) == (False, True)
