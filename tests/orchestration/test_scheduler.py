"""Schedulers stop the weak, remember whom, and judge by the trials of earlier runs."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
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


SECONDS: Any = {"grace": 0.25, "reduction_factor": 2, "rung_unit": "accelerator-seconds"}


def seconds_rule() -> SuccessiveHalving:
    """Of eight epochs with rungs after the second and the fourth, which is half."""
    return SuccessiveHalving(SearchConfig(**SECONDS), 8, maximised=True, latest=4)


def run(rule: SuccessiveHalving, trial_id: str, epoch_s: float, values: Sequence[float]) -> int:
    """The epoch after which a trial is stopped; 0: it is not."""
    for epoch, value in enumerate(values, start=1):
        if not rule.lets_pass(trial_id, epoch, value, epoch * epoch_s):
            return epoch
    return 0


def test_in_seconds_a_trial_is_held_against_what_others_had_reached_after_as_many() -> None:
    rule = seconds_rule()
    cheap = run(rule, "00000", 1.0, [0.1, 0.2, 0.5, 0.6, 0.9, 0.9, 0.9])

    dear = [
        run(rule, f"{number:05d}", epoch_s, [0.3, best, 0.7, 0.7])
        for number, (epoch_s, best) in enumerate([(1.0, 0.3), (1.5, 0.4), (2.0, 0.55)], start=1)
    ]
    cheaper = run(rule, "00004", 0.5, [0.0, 0.1, 0.1, 0.1])

    assert cheap == 0
    # at 2 s .2; at 3 s .5 and .7; at 4 s .6 and not the .9 behind half of its training
    assert dear == [0, 2, 2]
    assert cheaper == 4  # nobody had an epoch to be judged by after 1 s; after 2 s two had


def test_in_seconds_of_equal_networks_rungs_stop_whom_they_stop_by_epochs() -> None:
    values = np.random.default_rng(0).permutation(40) / 40
    stopped = []
    for unit in ("epochs", "accelerator-seconds"):
        search = SearchConfig(grace=0.05, reduction_factor=2, rung_unit=cast(Any, unit))
        rule = SuccessiveHalving(search, 40, maximised=True, latest=20)
        stopped.append([run(rule, f"{n:05d}", 1.0, [v] * 40) for n, v in enumerate(values)])

    assert stopped[0] == stopped[1]
    assert len({*stopped[0]}) > 3  # at the first rung and at later ones


def test_in_seconds_nobody_is_judged_by_an_epoch_before_the_first_rung() -> None:
    rule = seconds_rule()
    run(rule, "00000", 1.0, [0.9])

    assert run(rule, "00001", 1.0, [0.1, 0.1]) == 0


def test_a_study_that_goes_on_knows_the_seconds_of_the_earlier_trials() -> None:
    curves = [(1.0, [0.1, 0.5, 0.6, 0.6]), (3.0, [0.1, 0.2, 0.8, 0.9]), (2.0, [0.4, 0.4, 0.4])]
    live = make_scheduler(SearchConfig(**SECONDS), ACCURACY, 8)
    spent: dict[str, dict[int, float]] = {}
    for number, (epoch_s, values) in enumerate(curves):
        spent[f"{number:05d}"] = {epoch: epoch * epoch_s for epoch in range(1, len(values) + 1)}
        result_of(live, added(live, number), epoch_s, values)
    earlier = [
        past(number, dict(enumerate(values, start=1)), TrialState.PRUNED)
        for number, (_, values) in enumerate(curves)
    ]
    resumed = make_scheduler(SearchConfig(**SECONDS), ACCURACY, 8, earlier, spent_s=spent)

    for number, epoch_s, value in [(3, 1.0, 0.55), (4, 1.0, 0.45), (5, 4.0, 0.7), (6, 9.0, 0.7)]:
        found = [
            result_of(one, added(one, number), epoch_s, [0.0, value]) for one in (live, resumed)
        ]
        assert found[0] == found[1]


def result_of(scheduler: StudyScheduler, trial: Any, epoch_s: float, values: list[float]) -> str:
    for epoch, value in enumerate(values, start=1):
        report = Report({"accelerator_s": epoch * epoch_s}, [], [])
        result = {"epoch": epoch, VALUE: value, "report": report}
        if scheduler.on_trial_result(cast(Any, None), trial, result) == TrialScheduler.STOP:
            return f"stopped at {epoch}"
    return "goes on"


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
