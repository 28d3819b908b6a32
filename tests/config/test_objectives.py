"""Objectives: names, directions, and values of members."""

import pytest

from ffl_ray.config.objectives import (
    Objective,
    dominates,
    parse_objective,
    parse_objectives,
    quality,
)
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.errors import SettingError

METRICS = ("member", "role", "accuracy", "nll", "macs", "parameters")
MEMBERS = [
    dict(zip(METRICS, row, strict=True))
    for row in [
        ("branch0", "deployed", 0.6, 1.0, 10, 1),
        ("branch1", "deployed", 0.7, 1.2, 30, 3),
        ("ensemble", None, 0.8, 0.9, 40, 4),
        ("fused", "whole", 0.9, 0.8, 50, 5),
    ]
]


@pytest.mark.parametrize(
    ("name", "value", "direction"),
    [
        ("fused.accuracy", 0.9, "maximize"),
        ("val.fused.accuracy", 0.9, "maximize"),
        ("ensemble.nll", 0.9, "minimize"),
        ("best_branch.accuracy", 0.7, "maximize"),
        ("best_branch.nll", 1.0, "minimize"),
        ("best_branch.macs", 30, "minimize"),
        ("mean_branch.accuracy", 0.65, "maximize"),
        ("branch0.macs", 10, "minimize"),
        ("deployed.accuracy", 0.65, "maximize"),
        ("deployed.macs", 20, "minimize"),
        ("whole.nll", 0.8, "minimize"),
        ("params", 5, "minimize"),
    ],
)
def test_an_objective_is_read_off_the_member_rows(name: str, value: float, direction: str) -> None:
    objective = parse_objective(name)

    assert objective.value(MEMBERS) == pytest.approx(value)
    assert objective.direction == direction
    assert objective.score(1.0) == (1.0 if direction == "maximize" else -1.0)


def test_the_whole_is_what_is_deployed_where_nothing_is_larger() -> None:
    shipped = [MEMBERS[0] | {"role": None}, MEMBERS[3] | {"role": "deployed"}]

    assert parse_objective("whole.accuracy").value(shipped) == 0.9
    with pytest.raises(KeyError, match="deployed"):
        parse_objective("deployed.accuracy").value(MEMBERS[2:])


def test_a_bare_cost_is_that_of_the_first_objectives_member() -> None:
    names = [o.name for o in parse_objectives(["best_branch.accuracy", "macs", "latency_ms"])]

    assert names == ["best_branch.accuracy", "best_branch.macs", "best_branch.latency_ms"]


def test_trials_are_pruned_by_the_first_validation_metric() -> None:
    found: Objective = quality(parse_objectives(["fused.macs", "ensemble.nll", "fused.accuracy"]))

    assert found.name == "ensemble.nll"


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ("fused.acc", r"search.objectives must be MEMBER.METRIC .* not 'fused.acc'"),
        ("accuracy", "must be MEMBER.METRIC"),
        ("branch2.accuracy", "a member of fused, ensemble"),
        ("params", "must hold a validation metric"),
        ("fused.macs,fused.macs", "must not name an objective twice"),
    ],
)
def test_a_wrong_objective_is_refused(objectives: str, message: str) -> None:
    with pytest.raises(SettingError, match=message.removeprefix("search.")):
        with_overrides(SearchConfig(), {"objectives": objectives})


def test_a_training_is_judged_by_a_metric_not_by_a_cost() -> None:
    with pytest.raises(SettingError, match="objective must be a validation metric, not a cost"):
        with_overrides(Config(), {"objective": "fused.macs"})


def test_dominating_is_nowhere_worse_and_somewhere_better() -> None:
    assert dominates([1, 2], [1, 1])
    assert not dominates([1, 1], [1, 1])
    assert not dominates([2, 0], [1, 1])
