"""A search's time, counted on a clock that nobody sets, and the trials that begin in it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple

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


class Clocks(NamedTuple):
    """The machine's two clocks, each of which a test moves on or sets by its one number.

    Attributes:
        since_boot: of the one that nobody sets.
        of_day: of the one that anybody sets.
    """

    since_boot: list[float]
    of_day: list[float]

    def monotonic(self) -> float:
        return self.since_boot[0]

    def time(self) -> float:
        return self.of_day[0]


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks([100.0], [1e9])
    monkeypatch.setattr(time_budget, "time", made)
    return made


@pytest.mark.parametrize("jump_s", [-7200.0, 0.0, 7200.0])
def test_a_search_ends_once_its_seconds_are_over_whatever_the_clock_says(
    jump_s: float, clocks: Clocks
) -> None:
    deadline = Deadline(20.0)
    clocks.of_day[0] += jump_s

    before = deadline.stop_all()
    clocks.since_boot[0] += 20.0

    assert (before, deadline.stop_all(), deadline.came) == (False, True, True)
    assert not deadline("00000", {})


def test_a_trial_begins_only_where_it_would_end_in_time(clocks: Clocks) -> None:
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


def test_it_is_noted_now_and_then_that_the_search_goes_on(clocks: Clocks) -> None:
    noted: list[float] = []

    def note() -> None:
        noted.append(clocks.monotonic() - 100.0)
        raise OSError("no room")

    deadline = Deadline(None, note=note)
    for _ in range(30):
        clocks.since_boot[0] += 0.5
        deadline.stop_all()

    assert noted == [5.0, 10.0, 15.0]


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
