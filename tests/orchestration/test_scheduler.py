"""Schedulers stop the weak, remember whom, and judge by the trials of earlier runs."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from optuna.trial import TrialState
from ray.tune.schedulers import TrialScheduler

from ffl_ray.config.objectives import VALUE, parse_objective, parse_objectives
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.orchestration.scheduler import StudyScheduler, make_scheduler
from ffl_ray.orchestration.stopping_rules import MedianRule, SuccessiveHalving, standings
from ffl_ray.results.history import PastTrial
from ffl_ray.search.rungs import num_brackets
from ffl_ray.training.session import Report

EPOCHS = 4
ACCURACY, NLL = parse_objective("fused.accuracy"), parse_objective("fused.nll")


class FakeTrial:
    """What a scheduler asks of a Tune trial."""

    def __init__(self, number: int) -> None:
        self.trial_id = f"tune {number}"
        self.config = {"trial_id": f"{number:05d}"}

    def __hash__(self) -> int:
        return hash(self.trial_id)


def feed(scheduler: StudyScheduler, trial: Any, values: Sequence[float], first: int = 1) -> str:
    """Report one value after another until the trial is stopped."""
    for epoch, value in enumerate(values, start=first):
        result = {"epoch": epoch, VALUE: value, "training_iteration": epoch}
        decision: str = scheduler.on_trial_result(cast(Any, None), trial, result)
        if decision == TrialScheduler.STOP:
            return f"stopped at {epoch}"
    return "goes on"


def added(scheduler: StudyScheduler, number: int) -> Any:
    trial = cast(Any, FakeTrial(number))
    scheduler.on_trial_add(cast(Any, None), trial)
    return trial


def past(number: int, epochs: dict[int, float], state: TrialState) -> PastTrial:
    return PastTrial(
        f"{number:05d}", None if state.is_finished() else Config(), state, epochs, [], {}, {}, {}
    )


def scheduler_of(name: str, earlier: Sequence[PastTrial] = ()) -> StudyScheduler:
    settings = {"scheduler": name, "grace": 1 / EPOCHS, "reduction_factor": 2, "audit_trials": 0}
    return make_scheduler(with_overrides(SearchConfig(), settings), ACCURACY, EPOCHS, earlier)


@pytest.mark.parametrize("name", ["asha", "hyperband", "median"])
def test_the_weak_are_stopped_and_remembered_and_the_last_epoch_ends_by_itself(name: str) -> None:
    scheduler = scheduler_of(name)
    strong = [added(scheduler, number) for number in range(12)]

    kept = [feed(scheduler, trial, [0.9] * EPOCHS) for trial in strong]
    for trial in strong:
        scheduler.on_trial_complete(cast(Any, None), trial, {"epoch": EPOCHS, VALUE: 0.9})
    weak = [added(scheduler, number) for number in range(12, 24)]
    ended = [feed(scheduler, trial, [0.1] * (EPOCHS - 1)) for trial in weak]

    assert kept == ["goes on"] * 12
    stopped = [t.trial_id for t, e in zip(weak, ended, strict=True) if e.startswith("stopped")]
    assert scheduler.stopped == set(stopped)
    assert len(stopped) == 12 if name != "hyperband" else 6 <= len(stopped) <= 12


def test_hyperbands_later_brackets_stop_nobody_early() -> None:
    scheduler = scheduler_of("hyperband")
    for number in range(30):
        feed(scheduler, added(scheduler, number), [0.9] * EPOCHS)

    ended = {feed(scheduler, added(scheduler, number), [0.1] * 3) for number in range(30, 60)}

    assert ended == {"stopped at 1", "stopped at 2"}


@pytest.mark.parametrize(
    ("epochs", "grace", "factor", "brackets"),
    [(4, 1, 2, 2), (9, 1, 2, 3), (4, 4, 2, 1), (8, 4, 2, 1), (300, 1, 3, 3)],
)
def test_as_many_brackets_as_have_a_rung(
    epochs: int, grace: int, factor: float, brackets: int
) -> None:
    search = SearchConfig(grace=grace / epochs, reduction_factor=factor)

    assert num_brackets(search, epochs) == brackets


def test_none_stops_nobody() -> None:
    scheduler = scheduler_of("none")

    ended = [feed(scheduler, added(scheduler, n), [v] * EPOCHS) for n, v in ((0, 0.9), (1, 0.0))]

    assert ended == ["goes on", "goes on"]
    assert scheduler.stopped == set()


@pytest.mark.parametrize("name", ["asha", "hyperband", "median"])
def test_a_study_that_goes_on_judges_by_the_earlier_trials(name: str) -> None:
    earlier = [
        past(n, dict.fromkeys(range(1, EPOCHS + 1), 0.9), TrialState.COMPLETE) for n in range(30)
    ]
    scheduler = scheduler_of(name, earlier)

    ended = [feed(scheduler, added(scheduler, n), [0.1] * (EPOCHS - 1)) for n in range(30, 42)]

    assert "stopped at 1" in ended


def test_epochs_that_a_retry_reports_again_count_once_in_a_trials_mean() -> None:
    rule = MedianRule(1, maximised=True)
    scheduler = StudyScheduler(rule, EPOCHS)
    trial = added(scheduler, 0)

    feed(scheduler, trial, [0.1, 0.2])
    feed(scheduler, trial, [0.1, 0.2, 0.3])

    assert [epoch for epoch, _ in rule.curves["00000"]] == [1, 2, 3]


@pytest.mark.parametrize("name", ["asha", "median"])
def test_an_interrupted_trial_is_judged_by_the_epoch_it_reports_again(name: str) -> None:
    earlier = [
        past(n, dict.fromkeys(range(1, EPOCHS + 1), 0.9), TrialState.COMPLETE) for n in range(3)
    ]
    earlier.append(past(3, {1: 0.95, 2: 0.1}, TrialState.RUNNING))
    scheduler = scheduler_of(name, earlier)

    ended = feed(scheduler, added(scheduler, 3), [0.1, 0.1], first=2)

    assert ended == ("stopped at 2" if name == "asha" else "goes on")  # median: its best counts


def test_a_minimised_objective_stops_what_is_high() -> None:
    search = SearchConfig(grace=1 / EPOCHS, reduction_factor=2)
    scheduler = make_scheduler(search, NLL, EPOCHS)
    feed(scheduler, added(scheduler, 0), [0.2] * EPOCHS)

    assert feed(scheduler, added(scheduler, 1), [2.0]) == "stopped at 1"
    assert feed(scheduler, added(scheduler, 2), [0.1]) == "goes on"


@pytest.mark.parametrize("brackets", [1, 3])
def test_earlier_trials_stand_on_the_rungs_where_they_would_have_been_put_then(
    brackets: int,
) -> None:
    search = SearchConfig(grace=1 / EPOCHS, reduction_factor=2)
    values = [{e: (7 * n + 3 * e) % 11 / 11 for e in range(1, 1 + n % 5)} for n in range(30)]
    fresh, replayed = (
        SuccessiveHalving(search, EPOCHS, maximised=True, brackets=brackets) for _ in range(2)
    )

    StudyScheduler(replayed, EPOCHS, [past(n, v, TrialState.PRUNED) for n, v in enumerate(values)])
    for number, epochs in enumerate(values):
        for epoch, value in epochs.items():
            fresh.lets_pass(f"{number:05d}", epoch, value)

    assert replayed.brackets == fresh.brackets
    assert any(rung.scores for rungs in replayed.brackets for rung in rungs)


def costing(number: int, accuracy: float, macs: int) -> tuple[Any, dict[str, Any]]:
    members = [{"member": "fused", "accuracy": accuracy, "macs": macs}]
    result = {"epoch": 1, VALUE: accuracy, "report": Report({}, members, [])}
    return cast(Any, FakeTrial(number)), result


@pytest.mark.parametrize("name", ["asha", "median"])
def test_with_costs_searched_for_too_only_what_is_dominated_is_stopped(name: str) -> None:
    settings = {"scheduler": name, "grace": 1 / EPOCHS, "reduction_factor": 2}
    both = parse_objectives(["fused.accuracy", "fused.macs"])
    before = past(0, {1: 0.8}, TrialState.COMPLETE)._replace(values=[0.8, 100.0])
    scheduler = make_scheduler(
        with_overrides(SearchConfig(), settings), ACCURACY, EPOCHS, [before], both
    )

    def goes_on(number: int, accuracy: float, macs: int) -> bool:
        trial, result = costing(number, accuracy, macs)
        scheduler.on_trial_add(cast(Any, None), trial)
        return scheduler.on_trial_result(cast(Any, None), trial, result) == TrialScheduler.CONTINUE

    first = [goes_on(1, 0.7, 90), goes_on(2, 0.6, 80), goes_on(3, 0.5, 70), goes_on(4, 0.4, 60)]

    assert first == [True] * 4  # each is the best of its price
    assert not goes_on(5, 0.3, 100)  # five are better, and none is dearer
    assert goes_on(6, 0.45, 60)


def test_standings_count_who_is_better_in_everything() -> None:
    assert standings([(0.9, -5), (0.8, -4), (0.8, -5), (0.7, -6), (0.9, -5)]) == [0, 0, -3, -4, 0]
    assert standings([(1.0,), (3.0,), (2.0,)]) == [-2, 0, -1]
