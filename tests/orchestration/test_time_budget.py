"""A search's time, counted on a clock that nobody sets, and the trials that begin in it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from ray import cloudpickle

from ffl_ray.orchestration import time_budget
from ffl_ray.orchestration.search_study import Search, nothing_left
from ffl_ray.orchestration.time_budget import Deadline, deadline_of
from ffl_ray.results.description import describe_study
from ffl_ray.results.spent import note_used, used_s
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.search.space import load_space, settle


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


def limited(place: Path, seconds: float) -> Search:
    """A search that has a time budget and began to start half a minute ago."""
    space = load_space("digits")
    settings = settle(space, {"search.time_budget_s": seconds})
    return Search("s", Storage(str(place)), space, settings, started=time.monotonic() - 30.0)


def test_a_time_budget_counts_what_earlier_starts_took(tmp_path: Path) -> None:
    search = limited(tmp_path, 600.0)

    deadline = deadline_of(search, 500.0, lambda: 1e9)
    deadline.note()

    assert deadline.left_s == pytest.approx(70.0, abs=20.0)
    assert deadline.may_begin()  # only a budget keeps a trial from beginning
    assert used_s(search.storage) == pytest.approx(530.0, abs=20.0)


def test_a_search_whose_time_is_used_up_begins_no_ray(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    search = limited(tmp_path, 60.0)
    described = describe_study("search", search.kept_settings)
    StudyTables.open(search.storage, "s", described, search.settings.objectives).close()

    note_used(search.storage, 59.9)
    before = nothing_left(search)
    note_used(search.storage, 60.0)

    assert (before, nothing_left(search)) == (None, 0)
    assert "--time-budget-s 1m is used up; a larger one goes on" in capfd.readouterr().out


def test_tune_can_pickle_what_knows_the_end() -> None:
    lock = threading.Lock()
    deadline = Deadline(1.0, lambda: float(lock.locked()))

    assert cloudpickle.dumps(deadline)  # type: ignore[no-untyped-call]
