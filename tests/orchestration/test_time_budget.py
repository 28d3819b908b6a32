"""A search's time, counted on a clock that nobody sets, and the trials that begin in it."""

from __future__ import annotations

import threading
import time

import pytest
from ray import cloudpickle

from ffl_ray.orchestration import time_budget
from ffl_ray.orchestration.time_budget import Deadline


@pytest.mark.parametrize("jump_s", [-7200.0, 0.0, 7200.0])
def test_a_search_ends_once_its_seconds_are_over_whatever_the_clock_says(
    jump_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline = Deadline(0.2)
    jumped = time.time() + jump_s
    monkeypatch.setattr("time.time", lambda: jumped)

    before = deadline.stop_all()
    time.sleep(0.25)

    assert (before, deadline.stop_all(), deadline.came) == (False, True, True)
    assert not deadline("00000", {})


def test_a_trial_begins_only_where_it_would_end_in_time() -> None:
    expected = [5.0]
    deadline = Deadline(10.0, lambda: expected[0])

    assert deadline.may_begin()
    assert not deadline.came
    expected[0] = 20.0
    assert not deadline.may_begin()
    expected[0] = 1.0
    assert not deadline.may_begin()  # the search has ended then
    assert (deadline.came, deadline.stop_all()) == (True, False)  # who runs may go on


def test_without_an_end_every_trial_begins_and_nobody_is_stopped() -> None:
    free = Deadline(None, lambda: 1e9)

    assert (free.may_begin(), free.stop_all(), free.came, free.left_s) == (True, False, False, None)


def test_it_is_noted_now_and_then_that_the_search_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_budget, "NOTED_EVERY_S", 0.05)
    noted: list[float] = []

    def note() -> None:
        noted.append(time.monotonic())
        raise OSError("no room")

    deadline = Deadline(None, note=note)
    for _ in range(30):
        deadline.stop_all()
        time.sleep(0.01)

    assert 2 <= len(noted) <= 6


def test_tune_can_pickle_what_knows_the_end() -> None:
    lock = threading.Lock()
    deadline = Deadline(1.0, lambda: float(lock.locked()))

    assert cloudpickle.dumps(deadline)  # type: ignore[no-untyped-call]
