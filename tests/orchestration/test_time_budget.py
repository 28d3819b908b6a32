"""A study's time, counted on a clock that nobody sets, and the trials that begin in it."""

from __future__ import annotations

import threading
import time

import pytest
from ray import cloudpickle

from ffl_ray.orchestration.time_budget import Deadline, TimeBudget


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


def test_a_trial_begins_only_where_it_would_end_in_time() -> None:
    expected = [5.0]
    deadline = Deadline(10.0, lambda: expected[0])

    assert deadline.may_begin()
    assert not deadline.came
    expected[0] = 20.0
    assert not deadline.may_begin()
    expected[0] = 1.0
    assert not deadline.may_begin()  # the search has ended then
    assert deadline.came


def test_without_an_end_every_trial_begins_and_a_passed_one_is_noted() -> None:
    free, passed = Deadline(None, lambda: 1e9), Deadline(-1.0, lambda: None)

    free.note()
    passed.note()

    assert (free.may_begin(), free.came, free.left_s) == (True, False, None)
    assert (passed.may_begin(), passed.came) == (False, True)


def test_tune_can_pickle_what_knows_the_end() -> None:
    lock = threading.Lock()

    deadline = Deadline(1.0, lambda: float(lock.locked()))

    assert cloudpickle.dumps(deadline)  # type: ignore[no-untyped-call]
