"""Our stopping rules decide as Ray Tune's own schedulers do, which they stand in for."""

import math
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler

from ffl_ray.config.settings import SearchConfig
from ffl_ray.orchestration.stopping_rules import (
    MedianRule,
    SuccessiveHalving,
    is_among_best,
    reaches_median,
)

TRIALS, AT_ONCE = 40, 5
NO_CONTROLLER = cast(Any, SimpleNamespace(get_live_trials=list))


class Report(NamedTuple):
    """A trial's objective after an epoch; `last` when the trial ends with it by itself."""

    trial: str
    epoch: int
    value: float
    last: bool


def reports(seed: int, epochs: int, is_over: Callable[[str], bool]) -> Iterator[Report]:
    """Trials that run side by side and report at random, some of them ending early.

    Args:
        is_over: whether a trial was stopped.
    """
    draw = random.Random(seed)
    waiting, done = [f"{number:05d}" for number in range(TRIALS)], dict[str, int]()
    while waiting or done:
        while waiting and len(done) < AT_ONCE:
            done[waiting.pop(0)] = 0
        trial = draw.choice(sorted(done))
        done[trial] += 1
        value = math.inf if draw.random() < 0.02 else round(draw.random(), draw.choice((1, 9)))
        last = done[trial] == epochs or draw.random() < 0.02
        yield Report(trial, done[trial], value, last)
        if last or is_over(trial):
            del done[trial]


class TunesTrial:
    """A trial as Tune's schedulers know it."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


class Tunes:
    """One of Tune's schedulers, asked as its controller asks it."""

    def __init__(self, scheduler: TrialScheduler) -> None:
        self._scheduler = scheduler
        self._trials: dict[str, Any] = {}

    def lets_pass(self, report: Report) -> bool:
        if report.trial not in self._trials:
            self._trials[report.trial] = TunesTrial(report.trial)
            self._scheduler.on_trial_add(NO_CONTROLLER, self._trials[report.trial])
        decision = self._scheduler.on_trial_result(
            NO_CONTROLLER, self._trials[report.trial], self._result(report)
        )
        return bool(decision == TrialScheduler.CONTINUE)

    def end(self, report: Report) -> None:
        self._scheduler.on_trial_complete(
            NO_CONTROLLER, self._trials[report.trial], self._result(report)
        )

    def _result(self, report: Report) -> dict[str, Any]:
        return {"epoch": report.epoch, "value": report.value}


def decisions(
    ours: SuccessiveHalving | MedianRule, tunes: Callable[[str], Tunes], seed: int, epochs: int
) -> list[tuple[bool, bool]]:
    """What we say of each report, and what Tune says; a trial's last epoch is judged by nobody."""
    found: list[tuple[bool, bool]] = []
    stopped: set[str] = set()
    for report in reports(seed, epochs, stopped.__contains__):
        if report.epoch < epochs:
            mine = ours.lets_pass(report.trial, report.epoch, report.value)
            found.append((mine, tunes(report.trial).lets_pass(report)))
            if not mine:
                stopped.add(report.trial)
        if report.last or report.trial in stopped:
            ours.remember(report.trial, report.epoch, report.value)
            tunes(report.trial).end(report)
    return found


def asha(search: SearchConfig, epochs: int, grace: float, mode: str) -> Tunes:
    return Tunes(
        AsyncHyperBandScheduler(
            time_attr="epoch",
            metric="value",
            mode=mode,
            max_t=epochs,
            grace_period=cast(int, grace),
            reduction_factor=search.reduction_factor,
        )
    )


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # between two infinite scores
@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("epochs", "grace", "factor", "brackets"),
    [
        (9, 1, 3, 1), (27, 1, 3, 3), (10, 2, 2, 2), (30, 3, 2.5, 1), (8, 1, 2, 3), (4, 4, 2, 1),
        (70, 25, 1.6, 1),  # 25 * 1.6**2 is 64.00000000000001, so a rung after the 65th epoch
    ],
)  # fmt: skip
def test_successive_halving_decides_as_tunes_own(
    epochs: int, grace: int, factor: float, brackets: int, seed: int, mode: str
) -> None:
    search = SearchConfig(grace=grace / epochs, reduction_factor=factor, seed=seed)
    ours = SuccessiveHalving(search, epochs, maximised=mode == "max", brackets=brackets)
    # A later bracket is one that begins at a later rung.
    tunes = [asha(search, epochs, grace * factor**bracket, mode) for bracket in range(brackets)]

    found = decisions(ours, lambda trial: tunes[ours.bracket_of(trial)], seed, epochs)

    assert [mine for mine, _ in found] == [theirs for _, theirs in found]
    assert {mine for mine, _ in found} == ({True, False} if grace < epochs else {True})


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("epochs", "grace"), [(9, 1), (27, 3), (10, 2)])
def test_the_median_rule_decides_as_tunes_own_that_never_pauses(
    epochs: int, grace: int, seed: int, mode: str
) -> None:
    ours = MedianRule(grace, maximised=mode == "max")
    tunes = Tunes(
        MedianStoppingRule(time_attr="epoch", metric="value", mode=mode, grace_period=grace)
    )

    found = decisions(ours, lambda trial: tunes, seed, epochs)

    assert [mine for mine, _ in found] == [theirs for _, theirs in found]
    assert {mine for mine, _ in found} == {True, False}


def test_a_trials_bracket_is_drawn_with_the_odds_that_tune_gives_it() -> None:
    search = SearchConfig(grace=1 / 9, reduction_factor=3)
    rule = SuccessiveHalving(search, 9, maximised=True, brackets=3)

    drawn = np.bincount([rule.bracket_of(f"{number:05d}") for number in range(4000)])

    sizes = np.array([3.0, 2.0, 1.0])  # rungs of the brackets
    odds = np.exp(sizes - sizes.max()) / np.exp(sizes - sizes.max()).sum()
    assert drawn / 4000 == pytest.approx(odds, abs=0.03)


@pytest.mark.parametrize(
    ("grace", "epochs", "factor", "bracket", "expected"),
    [(1, 9, 3, 0, [9, 3, 1]), (1, 9, 3, 1, [9, 3]), (2, 10, 2, 0, [8, 4, 2]), (4, 4, 2, 0, [4])],
)
def test_rungs_stand_a_factor_apart(
    grace: int, epochs: int, factor: float, bracket: int, expected: list[float]
) -> None:
    search = SearchConfig(grace=grace / epochs, reduction_factor=factor)
    rule = SuccessiveHalving(search, epochs, maximised=True, brackets=bracket + 1)

    assert [rung.milestone for rung in rule.brackets[bracket]] == expected


def test_a_score_passes_a_rung_when_it_is_among_the_best_so_far() -> None:
    others = [0.1, 0.2, 0.3, 0.4]  # the best half begins at 0.25

    passing = [score for score in (0.2, 0.24, 0.25, 0.9) if is_among_best(score, others, 2)]

    assert passing == [0.25, 0.9]
    assert is_among_best(0.0, [], 2)


def test_a_trial_is_held_against_the_means_of_those_that_came_as_far() -> None:
    rivals = [[(1, 0.1), (2, mean)] for mean in (0.4, 0.5, 0.6)] + [[(1, 9.0)]]

    def goes_on(value: float, count: int = 4) -> bool:
        return reaches_median([value], rivals[:count], 2, 2, maximised=True)

    assert goes_on(0.5)
    assert not goes_on(0.49)
    assert goes_on(0.0, count=2)  # two rivals say nothing
