"""A few trials that a rule would stop are finished, the same ones after an interruption."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from optuna.trial import TrialState
from ray.tune.schedulers import TrialScheduler

from ffl_ray.config.objectives import VALUE, parse_objective
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.orchestration.judge import Audits, Judge
from ffl_ray.orchestration.scheduler import StudyScheduler
from ffl_ray.orchestration.stopping_rules import stopping_rule
from ffl_ray.results.history import PastTrial

EPOCHS = 4
ACCURACY = parse_objective("fused.accuracy")


def search(**changes: Any) -> SearchConfig:
    return SearchConfig(grace=0.25, reduction_factor=2, num_samples=80, **changes)


def stopped(judge: Judge) -> list[int]:
    """The trials of 80 that do not come to their end; later ones are worse."""
    return [
        number
        for number in range(80)
        if not all(judge.lets_pass(f"{number:05d}", e, -number) for e in range(1, EPOCHS + 1))
    ]


def test_as_many_as_are_asked_for_are_finished_and_not_the_first_ones() -> None:
    judge = Judge.of(search(audit_trials=4), ACCURACY, EPOCHS)

    ended = stopped(judge)

    assert len(judge.audited) == 4
    assert set(judge.audited.values()) == {1}
    assert set(ended) | {int(name) for name in judge.audited} | {0} == set(range(80))
    assert [int(name) for name in judge.audited] != [1, 2, 3, 4]


def test_a_trial_apart_is_never_stopped_and_stops_nobody() -> None:
    rule = stopping_rule(search(audit_trials=0), ACCURACY, EPOCHS)
    judge = Judge(rule, EPOCHS, apart=["00001"])
    judge.remember("00001", 1, 0.9)

    passes = [judge.lets_pass(name, 1, value) for name, value in (("00000", 0.5), ("00001", 0.0))]

    assert passes == [True, True]
    assert judge.lets_pass("00002", 1, 0.6)  # above 00000, and not held against .9
    assert not judge.lets_pass("00003", 1, 0.4)


def audited_of(search: SearchConfig) -> list[int]:
    """The trials that are audited where the rule stops as many as is expected, in turns."""
    kept, audits = round(search.reduction_factor), Audits.of(search)
    found: list[int] = []
    for number in (number for number in range(search.num_samples) if number % kept):
        if audits.draw(f"{number:05d}", len(found)):
            found.append(number)
    return found


def test_over_seeds_every_stopped_trial_is_as_likely_to_be_audited() -> None:
    found = [audited_of(search(audit_trials=4, seed=seed)) for seed in range(400)]

    numbers = [number for one in found for number in one]
    assert all(len(one) == 4 for one in found)
    for start in range(0, 80, 20):
        share = sum(start <= number < start + 20 for number in numbers) / len(numbers)
        assert abs(share - 0.25) < 0.04  # 3 standard errors are .032


@pytest.mark.parametrize("num_samples", [16, 24, 40])
def test_a_search_with_the_defaults_audits_two_trials(num_samples: int) -> None:
    found = [
        len(audited_of(SearchConfig(num_samples=num_samples, seed=seed))) for seed in range(300)
    ]

    assert sum(count == 2 for count in found) > 0.8 * len(found)
    assert sum(count == 0 for count in found) < 0.01 * len(found)


def test_none_is_audited_without_being_asked_for_nor_in_a_search_of_a_few_trials() -> None:
    few = SearchConfig(grace=0.25, num_samples=7)

    assert stopped(Judge.of(search(audit_trials=0), ACCURACY, EPOCHS)) == list(range(1, 80))
    assert Audits.of(few).most == 0


def test_an_audited_trial_that_was_interrupted_is_let_pass_again_and_counts() -> None:
    settings = search(audit_trials=1)
    weak = PastTrial("00003", Config(), TrialState.RUNNING, {1: 0.0}, [], {}, {}, {}, audited=1)
    strong = [
        PastTrial(
            f"{n:05d}", None, TrialState.COMPLETE, dict.fromkeys(range(1, 5), 0.9), [], {}, {}, {}
        )
        for n in range(3)
    ]
    scheduler = StudyScheduler(
        stopping_rule(settings, ACCURACY, EPOCHS),
        EPOCHS,
        [*strong, weak],
        audits=Audits.of(settings),
    )

    def decision(number: int, epoch: int) -> str:
        trial = SimpleNamespace(trial_id=number, config={"trial_id": f"{number:05d}"})
        result = {"epoch": epoch, VALUE: -float(number)}
        return scheduler.on_trial_result(None, cast(Any, trial), result)

    assert decision(3, 2) == TrialScheduler.CONTINUE
    assert {decision(number, 1) for number in range(4, 40)} == {TrialScheduler.STOP}
    assert scheduler.audited("00003") == {"audited_epoch": 1}
    assert scheduler.audited("00004") == {}
