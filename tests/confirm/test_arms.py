"""Which configs are confirmed, against which baselines, with which seeds."""

from __future__ import annotations

import json
from typing import get_args

import pytest
import torch
from support.helpers import small_config
from support.reference import given, random_output

from ffl_ray.config.independent import independent
from ffl_ray.config.method_checks import check_method
from ffl_ray.config.methods import METHODS, resolved, resolved_from
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.confirm.arms import (
    Plans,
    networks_to_time,
    new_seeds,
    plan_arms,
    plan_runs,
    primary_of,
    stretched,
)
from ffl_ray.confirm.chosen import confirmed_form
from ffl_ray.confirm.opponents import Against, Kind, opponents, untaught
from ffl_ray.confirm.pairs import Chosen
from ffl_ray.distill.registry import loss_terms_of
from ffl_ray.errors import SettingError
from ffl_ray.results.schema import config_columns, row_config


def config_of(**changes: object) -> ResolvedConfig:
    return confirmed_form(
        small_config(**{"model__mix": "2*resnet20", "optim__epochs": 30, **changes})
    )


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
    assert plans.pairs[0].members == ("branch0", "branch1")
    assert [tuple(pair)[1:5] for pair in plans.pairs] == [
        ("branches", "epochs", "independent resnet20, 30 epochs", "branch0"),
        ("branches", "seconds", "independent resnet20, 90 epochs", "branch0"),
        ("ensemble", "epochs", "independent 2*resnet20, 30 epochs", "ensemble"),
        ("ensemble", "seconds", "independent 2*resnet20, 45 epochs", "ensemble"),
        ("fused", "epochs", "independent 2*resnet20, 30 epochs", "ensemble"),
        ("fused", "seconds", "independent 2*resnet20, 45 epochs", "ensemble"),
    ]


def test_the_backbone_alone_may_have_equal_seconds_and_the_others_equal_epochs_only() -> None:
    config = config_of(model__mix="2*resnet20")
    both, fewer = (plan([config], SECONDS, asked) for asked in ("both", "seconds_alone"))

    assert fewer.pairs == [
        pair for pair in both.pairs if pair.equal == "epochs" or pair.kind == "alone"
    ]
    assert primary_of(fewer.pairs, fewer.arms[0]) == primary_of(both.pairs, both.arms[0])
    assert {arm.name for arm in both.arms} - {arm.name for arm in fewer.arms} == {
        "independent 2*resnet20, 45 epochs"
    }


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

    assert members == {"branches", "ensemble"}


def test_the_primary_comparison_is_of_what_is_shipped_at_equal_seconds() -> None:
    mixed = config_of(model__mix="2*resnet20+wrn16_2")
    seconds = SECONDS | {"resnet20+resnet20+wrn16_2 ffl": 6.0}
    seconds |= {"resnet20+resnet20+wrn16_2 independent": 5.0}

    plans = plan([mixed], seconds)

    first = primary_of(plans.pairs, plans.arms[0])
    assert first is not None
    assert (first.member, first.equal) == ("branches_resnet20", "seconds")
    assert first.members == ("branch0", "branch1")
    assert {pair.member for pair in plans.pairs} == {first.member, "branch2", "ensemble", "fused"}
    fused = [pair for pair in plans.pairs if pair.member == "fused"]
    assert primary_of(fused, plans.arms[0]) is None


def test_baselines_of_a_method_that_measures_on_held_out_images_train_on_equal_ones() -> None:
    held = {"distill__method": "kdcl", "distill__kdcl_teacher": "general"}
    ours, other = (small_config(model__mix="2*resnet8", **more) for more in (held, {}))

    assert {one.baseline.data.hold_out for one in opponents(ours)} == {True}
    assert {one.baseline.data.hold_out for one in opponents(other)} == {False}
    again = confirmed_form(independent(ours, ("resnet8",)))
    assert again.data.hold_out


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


def test_every_kind_of_baseline_separates_one_cause() -> None:
    config = config_of(model__mix="2*resnet20", distill__temperature=2.0)
    kinds = get_args(Kind)

    found = opponents(config, Against(kinds, {config: "resnet38"}))

    by_kind = {kind: [one for one in found if one.kind == kind] for kind in kinds}
    assert [(o.member, o.baseline_member) for o in by_kind["untaught"]] == [
        ("branches", "branches"), ("ensemble", "ensemble"), ("fused", "fused"),
    ]  # fmt: skip
    quiet = by_kind["untaught"][0].baseline
    differing = {k for k, v in flatten(quiet).items() if v != flatten(config)[k]}
    assert differing == {"distill.ensemble_to_fused", "distill.fused_to_branch"}
    assert by_kind["untaught"][0].baseline_of == ("branch0", "branch1")
    (one,) = by_kind["same_macs"]
    assert (one.member, one.baseline.model.mix) == ("fused", ("resnet38",))
    assert [o.member for o in by_kind["together"]] == ["ensemble", "fused"]


def test_what_is_shipped_and_the_whole_meet_those_of_the_default_point_over_equal_epochs() -> None:
    default = config_of(model__mix="2*resnet20", optim__epochs=30)
    mixed = config_of(model__mix="wrn16_2+2*resnet20", optim__epochs=20, fusion__design="sum")
    led = config_of(model__mix="3*resnet20", distill__method="okddip", objective="ensemble.nll")
    against = Against(("default",), default=default)

    found = {config: opponents(config, against) for config in (default, mixed, led)}

    assert found[default] == []
    assert [(one.member, one.of, one.baseline_member, one.baseline_of) for one in found[mixed]] == [
        ("deployed", ("branch0", "branch1", "branch2"), "branches", ("branch0", "branch1")),
        ("fused", ("fused",), "fused", ("fused",)),
    ]
    assert {one.baseline for one in found[mixed]} == {stretched(default, 20)}
    assert {one.name for one in found[mixed]} == {"default 2*resnet20 ffl"}
    plans = plan_arms([Chosen("00004", mixed)], "epochs", {}, (), against)
    first = primary_of(plans.pairs, plans.arms[0])
    assert first is not None
    assert first.member == "deployed"
    assert [(one.member, one.baseline_member) for one in found[led]] == [
        ("branch0", "branches"),
        ("ensemble", "fused"),
    ]


@pytest.mark.parametrize("kinds", [("default", "alone"), ("alone", "default"), ("default",)])
def test_the_first_of_the_arms_is_the_primary_opponent(kinds: tuple[Kind, ...]) -> None:
    default, other = config_of(model__mix="2*resnet20"), config_of(model__mix="2*resnet32")
    against = Against(kinds, default=default)

    plans = plan_arms([Chosen("00004", other)], "epochs", {}, (), against)

    first = primary_of(plans.pairs, plans.arms[0])
    assert first is not None
    assert (first.kind, first.member) == (kinds[0], "branches")


def test_the_default_point_is_trained_on_the_images_and_in_the_place_of_the_config() -> None:
    default = config_of(data__dir="/before")
    measuring = {"distill__method": "kdcl", "distill__kdcl_teacher": "general"}
    ours = config_of(data__dir="/now", objective="ensemble.nll", **measuring)

    (baseline,) = {one.baseline for one in opponents(ours, Against(("default",), default=default))}

    assert (baseline.data.dir, baseline.data.hold_out) == ("/now", True)
    assert baseline.distill == default.distill


def test_the_default_point_that_is_confirmed_too_is_one_arm() -> None:
    default, other = config_of(model__mix="2*resnet20"), config_of(model__mix="3*resnet20")
    chosen = [Chosen("00004", other), Chosen("00000", default)]

    plans = plan_arms(chosen, "epochs", {}, (), Against(("default",), default=default))

    assert [arm.name for arm in plans.arms] == ["00004", "00000"]
    assert {(pair.arm, pair.baseline, pair.kind) for pair in plans.pairs} == {
        ("00004", "00000", "default")
    }


@pytest.mark.parametrize("method", [name for name in METHODS if name != "independent"])
def test_the_teaching_of_every_method_can_be_turned_off(method: str) -> None:
    config = config_of(
        model__mix="3*resnet20", distill__method=method, objective="ensemble.accuracy"
    )
    output, labels = given(method, random_output(3)), torch.arange(6)

    terms = loss_terms_of(untaught(config).distill)(output, labels)

    weights = {name.partition(".")[0]: term.weight for name, term in terms.items()}
    assert all(name.startswith("ce_") for name, weight in weights.items() if weight)
    assert weights["ce_branches"] == 1
    assert any("_to_" in name for name in loss_terms_of(config.distill)(output, labels))


def test_a_branch_that_only_others_teach_learns_from_labels_where_teaching_is_off() -> None:
    config = config_of(
        distill__method="ktg",
        distill__gates="0>0=cutoff,1>1=linear,1>0=correct,fused>1=through",
        objective="ensemble.accuracy",
    )

    quiet = untaught(config)

    assert quiet.distill.gates == "1>0=correct,fused>1=through"
    assert quiet.distill.weight == 0


@pytest.mark.parametrize(("method", "leader"), [("okddip", "2"), ("ktg", None)])
def test_the_branch_that_is_shipped_is_compared_by_itself(method: str, leader: str | None) -> None:
    config = config_of(
        model__mix="3*resnet20",
        model__leader=leader,
        distill__method=method,
        objective="ensemble.accuracy",
    )

    plans = plan_arms([Chosen("00000", config)], "epochs", {})

    first = primary_of(plans.pairs, plans.arms[0])
    assert first is not None
    assert first.member == f"branch{leader or 0}"
    assert {pair.member for pair in plans.pairs} == {
        first.member, "branches_resnet20", "ensemble",
    }  # fmt: skip
    for arm in plans.arms:
        check_method(resolved_from(arm.settings))


def test_a_method_of_ones_own_can_not_be_turned_off() -> None:
    own = config_of()
    own = own.model_copy(update={"distill": own.distill.model_copy(update={"method": "a:b"})})

    with pytest.raises(SettingError, match="--arms untaught must be of a method of ffl_ray"):
        untaught(own)
