"""Which configs are confirmed, against which baselines, with which seeds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.helpers import small_config

from ffl_ray.config.methods import resolved, resolved_from
from ffl_ray.config.objectives import parse_objectives
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.confirm.arms import (
    Chosen,
    Plans,
    best_configs,
    confirmed_form,
    independent,
    networks_to_time,
    new_seeds,
    plan_arms,
    plan_runs,
    stretched,
)
from ffl_ray.results.schema import config_columns, row_config

ONE = parse_objectives(["fused.accuracy"])


def config_of(**changes: object) -> ResolvedConfig:
    return confirmed_form(
        small_config(**{"model__mix": "2*resnet20", "optim__epochs": 30, **changes})
    )


def row(
    trial_id: str, value: float, status: str = "completed", **changes: object
) -> dict[str, Any]:
    ids = {"trial_id": trial_id, "status": status, "objective_values": [value]}
    return ids | config_columns(small_config(**changes))


def test_seeds_are_the_first_that_the_search_did_not_use_and_more_begin_with_fewer() -> None:
    assert new_seeds({0, 1}, 3) == [1000, 1001, 1002]
    assert new_seeds({1001}, 3) == [1000, 1002, 1003]
    assert new_seeds({1001}, 5)[:3] == new_seeds({1001}, 3)


def test_a_row_gives_its_config_back_and_an_older_schema_the_defaults() -> None:
    config = small_config(model__mix="resnet20+wrn16_2", optim__lr_milestones="0.3,0.6")
    stored = config_columns(config)

    assert resolved(row_config(stored)) == config
    del stored["distill.views"]
    assert resolved(row_config(stored | {"distill.weight": None})) == config


def test_the_best_distinct_configs_of_completed_trials_are_chosen() -> None:
    rows = [
        row("00000", 0.7),
        row("00001", 0.9, fusion__design="sum"),
        row("00002", 0.9, fusion__design="sum", seed=3),
        row("00003", 0.99, "pruned", fusion__design="gated"),
        row("00004", 0.8, fusion__design="mean"),
    ]

    chosen = best_configs(rows, ONE, 2)

    assert [one.trial_id for one in chosen] == ["00001", "00004"]
    assert chosen[0].config.fusion.design == "sum"
    assert chosen[0].config.distill.temperature == 3.0  # nothing is left to the method


def test_a_baseline_differs_in_its_teaching_alone() -> None:
    config = config_of(
        distill__temperature=2.5,
        fusion__design="gated",
        optim__lr=0.05,
        distill__label_smoothing=0.1,
    )

    alone = independent(config, ("resnet20",))

    assert alone.model.mix == ("resnet20",)
    assert alone.model.trunk_stages == 0
    assert (alone.data, alone.compute, alone.optim) == (config.data, config.compute, config.optim)
    assert alone.distill.label_smoothing == 0.1
    assert alone == independent(
        config_of(optim__lr=0.05, distill__label_smoothing=0.1), ("resnet20",)
    )


def test_schedule_warm_up_and_ramp_up_stretch_with_the_epochs() -> None:
    config = config_of(optim__warmup=0.1, distill__ramp_up=0.3)

    longer, short = stretched(config, 60), stretched(config, 1)

    assert (longer.optim.epochs, longer.optim.warmup) == (60, 0.1)
    assert longer.distill.ramp_up == 0.3
    assert longer.optim.lr_milestones == config.optim.lr_milestones  # shares of the epochs
    assert (short.optim.epochs, short.optim.warmup) == (1, 0.1)


def plan(
    configs: list[ResolvedConfig], seconds: dict[str, float], baselines: str = "both"
) -> Plans:
    """Arms of these configs, when an epoch takes what their mix says."""
    chosen = [Chosen(f"{number:05d}", config) for number, config in enumerate(configs)]
    timed = networks_to_time(chosen, baselines)  # type: ignore[arg-type]
    names = {config: "+".join(config.model.mix) + " " + config.distill.method for config in timed}
    epoch_s = {config: seconds[names[config]] for config in timed}
    return plan_arms(chosen, baselines, epoch_s)  # type: ignore[arg-type]


SECONDS = {
    "resnet20+resnet20 ffl": 3.0,
    "resnet20+resnet20 independent": 2.0,
    "resnet20 independent": 1.0,
    "resnet20+wrn16_2 ffl": 5.0,
    "resnet20+wrn16_2 independent": 4.0,
    "wrn16_2 independent": 3.0,
}


def test_branches_meet_their_backbone_alone_and_the_others_the_independent_ensemble() -> None:
    plans = plan([config_of(model__mix="2*resnet20")], SECONDS)

    epochs = {arm.name: arm.settings["optim.epochs"] for arm in plans.arms}
    assert epochs == {
        "00000": 30,
        "independent resnet20, 30 epochs": 30,
        "independent resnet20, 90 epochs": 90,  # 30 epochs * 3 s / 1 s
        "independent 2*resnet20, 30 epochs": 30,
        "independent 2*resnet20, 45 epochs": 45,
    }
    assert [tuple(pair)[1:] for pair in plans.pairs] == [
        ("branch0", "epochs", "independent resnet20, 30 epochs", "branch0"),
        ("branch0", "seconds", "independent resnet20, 90 epochs", "branch0"),
        ("branch1", "epochs", "independent resnet20, 30 epochs", "branch0"),
        ("branch1", "seconds", "independent resnet20, 90 epochs", "branch0"),
        ("ensemble", "epochs", "independent 2*resnet20, 30 epochs", "ensemble"),
        ("ensemble", "seconds", "independent 2*resnet20, 45 epochs", "ensemble"),
        ("fused", "epochs", "independent 2*resnet20, 30 epochs", "ensemble"),
        ("fused", "seconds", "independent 2*resnet20, 45 epochs", "ensemble"),
    ]


def test_configs_share_the_baselines_that_are_identical() -> None:
    configs = [
        config_of(model__mix="2*resnet20", fusion__design="sum"),
        config_of(model__mix="2*resnet20", fusion__design="gated"),
        config_of(model__mix="resnet20+wrn16_2"),
        config_of(model__mix="2*resnet20", optim__lr=0.05),
    ]

    plans = plan(configs, SECONDS, "epochs")

    assert [arm.name for arm in plans.arms if arm.trial_id is None] == [
        "independent resnet20, 30 epochs",
        "independent 2*resnet20, 30 epochs",
        "independent wrn16_2, 30 epochs",
        "independent resnet20+wrn16_2, 30 epochs",
        "independent resnet20, 30 epochs (no. 2)",  # another learning rate
        "independent 2*resnet20, 30 epochs (no. 2)",
    ]


def test_a_method_without_a_fused_classifier_has_no_such_pair() -> None:
    config = config_of(distill__method="dml", objective="ensemble.accuracy")

    seconds = SECONDS | {"resnet20+resnet20 dml": 2.0}
    members = {pair.member for pair in plan([config], seconds).pairs}

    assert members == {"branch0", "branch1", "ensemble"}


@pytest.mark.parametrize("mix", ["resnet20", "2*resnet20"])
def test_an_independent_config_is_not_compared_with_itself(mix: str) -> None:
    config = small_config(
        model__mix=mix, distill__method="independent", objective="ensemble.accuracy"
    )

    plans = plan([confirmed_form(config)], SECONDS, "epochs")

    assert all(pair.baseline != pair.arm for pair in plans.pairs)
    assert len(plans.arms) == len(config.model.mix)


def test_without_baselines_there_is_nothing_to_time_but_the_configs() -> None:
    plans = plan([config_of()], {"resnet20+resnet20 ffl": 1.0}, "none")

    assert [arm.name for arm in plans.arms] == ["00000"]
    assert plans.pairs == []


def test_arms_come_back_from_plain_values() -> None:
    arm = plan([config_of(model__mix="resnet20+wrn16_2")], SECONDS).arms[0]

    settings = json.loads(json.dumps(dict(arm.settings)))

    assert resolved_from(settings) == config_of(model__mix="resnet20+wrn16_2")
    assert flatten(config_of())["seed"] == 0


def test_more_seeds_and_more_arms_come_behind_the_runs_that_are_there() -> None:
    arms = plan([config_of()], SECONDS, "epochs").arms
    first = plan_runs(arms[:2], [1000, 1001])

    more = plan_runs(arms, [1000, 1001, 1002], first)

    assert [(run.arm, run.seed) for run in first] == [
        (arms[0].name, 1000), (arms[1].name, 1000), (arms[0].name, 1001), (arms[1].name, 1001),
    ]  # fmt: skip
    assert more[:4] == first
    assert [run.run_id for run in more] == [f"{i:05d}" for i in range(9)]
    assert len({(run.arm, run.seed) for run in more}) == 9
