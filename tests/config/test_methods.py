"""What methods are made of: their own values, and what they refuse."""

from __future__ import annotations

import re

import pytest
from support.helpers import ROOT, small_config

from ffl_ray.config.method_checks import check_method, check_views
from ffl_ray.config.methods import (
    METHODS,
    leader_of,
    method_of,
    resolved,
    resolved_from,
    with_reachable_objective,
)
from ffl_ray.config.overrides import with_overrides
from ffl_ray.errors import SettingError


def test_the_methods_own_values_stand_where_the_settings_leave_them() -> None:
    found = {name: small_config(distill__method=name) for name in METHODS}

    assert {n: c.distill.temperature for n, c in found.items()} == {
        "ffl": 3, "independent": 3, "dml": 1, "cl_ilr": 2, "one": 3, "kdcl": 2, "okddip": 3,
        "pcl": 3, "okdph": 4, "ktg": 1, "layered_ffl": 3, "ffsd": 2, "dccl": 3,
        "dcm": 1, "mcl": 3, "lmcl": 3, "ahbf": 3,
        "switokd": 1, "confident_dml": 1, "dkel": 3, "afd": 3,
    }  # fmt: skip
    assert [n for n, c in found.items() if c.distill.views] == ["kdcl", "pcl", "okdph", "dkel"]
    assert [n for n, c in found.items() if c.model.trunk_stages == 0] == [
        "independent",
        "dml",
        "kdcl",
        "okdph",
        "ktg",
        "layered_ffl",
        "ffsd",
        "dccl",
        "dcm",
        "mcl",
        "lmcl",
        "switokd",
        "confident_dml",
        "afd",
    ]
    assert resolved(resolved_from({"distill.ramp_up": 0.5})).distill.ramp_up == 0.5


def ktg_with(gates: str) -> dict[str, object]:
    return {
        "distill.method": "ktg",
        "distill.gates": gates,
        "model.mix": "2*resnet8",
        "objective": "ensemble.accuracy",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distill.method": "okddip"},
         r"model.mix must hold at least 3 branches for distill.method okddip, not 2"),
        ({"distill.method": "dml"}, r"distill.method dml has .it has no fused classifier: try"),
        ({"distill.method": "independent", "model.mix": "resnet20",
          "objective": "branch1.accuracy"}, r"resnet20, a single branch, not 'branch1.accuracy'"),
        ({"distill.method": "cl_ilr", "distill.weight": 2, "objective": "ensemble.accuracy"},
         r"distill.weight must be at most 1 for distill.method cl_ilr.*not 2"),
        ({"model.leader": "resnet20"}, r"leader must be none for distill.method ffl, which has no"),
        ({"model.mix": "3*resnet8", "distill.method": "okddip", "model.leader": "resnet20"},
         r"model.leader must be a backbone of 3\*resnet8, or a branch from 0 to 2, not 'resnet20'"),
        ({"model.mix": "3*resnet8", "distill.method": "okddip", "model.leader": 3}, r"2, not '3'"),
        ({"objective": "mean_teacher0.nll"}, r"member that distill.method ffl has .it has no aver"),
        ({"distill.views": True}, r"distill.views must be false for distill.method ffl, which fus"),
        ({"distill.views": True, "distill.method": "one"}, r"false for .* one, which weighs logi"),
        ({"distill.own_batches": True},
         r"distill.own_batches must be false where distill.method is not independent.*is ffl"),
        ({"distill.method": "independent", "distill.own_batches": True, "model.trunk_stages": 1,
          "objective": "ensemble.nll"}, r"own_batches .* where model.trunk_stages is not 0.*is 1"),
        ({"distill.ramp_up": 80}, r"distill.ramp_up must be at most 1, a share .*, not 80"),
        ({"distill.dml_teacher": "mean"},
         r"dml_teacher must be each for distill.method ffl: it is read by dml alone, not mean"),
        ({"distill.detach_targets": False, "distill.method": "okddip", "model.mix": "3*resnet8"},
         r"must be true for .* okddip: it is read by dml and cl_ilr alone, not false"),
        ({"distill.ce_weight": 1, "distill.method": "dml", "objective": "ensemble.accuracy"},
         r"ce_weight must be none for distill.method dml: it is read by cl_ilr alone, not 1.0"),
        ({"distill.method": "okdph", "model.mix": "resnet8+resnet14"},
         r"model.mix must hold one backbone for distill.method okdph.*not resnet14.resnet8"),
        ({"distill.method": "okdph", "model.trunk_stages": 2},
         r"model.trunk_stages must be 0 for distill.method okdph.*not 2"),
        ({"distill.method": "switokd", "model.trunk_stages": -1}, r"must be 0 for .* switokd.*-1"),
        ({"distill.entropy_limit": 0.5}, r"must be 1.0 for .* it is read by confident_dml"),
        ({"distill.method": "okdph", "distill.views": True, "distill.view_policies": "cutout"},
         r"view_policies must name one for each of the 3 views of .* okdph with 2\*resnet8"),
        ({"distill.view_policies": "cutout"}, r"view_policies must be none where .*views is false"),
        ({"distill.write_back": 0.1}, r"must be 0.5 for .* ffl: it is read by okdph alone"),
        ({"objective": "averaged.nll"}, r"member that distill.method ffl has .it has no averaged"),
        ({"model.mix": "3*resnet8", "distill.method": "ffsd", "model.trunk_stages": -1},
         r"model.trunk_stages must be 0 for .* ffsd, whose branches are whole networks, not -1"),
        ({"distill.layer_decay": 0.1}, r"must be 0.5 for .* ffl: it is read by layered_ffl"),
        ({"model.mix": "resnet20"}, r"at least 2 branches for distill.method ffl, not 1"),
        ({"distill.kdcl_teacher": "linear"}, r"must be min_logit .* is read by kdcl alone"),
        ({"distill.ema_span": 0.5}, r"must be 0.008\d* for .*: it is read by pcl and dkel"),
        ({"distill.weight": 0.5}, r"weight must be 1.0 for .* ffl: it is read by every method "
                                  r"but ffl, independent and layered_ffl, not 0.5"),
        ({"distill.target_epsilon": 0, "distill.method": "dml"}, r"ffl, layered_ffl, one, okddip"),
        ({"distill.fused_to_branch": False, "distill.method": "pcl"}, r"by ffl and layered_ffl a"),
        ({"distill.ensemble_to_fused_temperature": 2, "distill.method": "ffsd",
          "model.mix": "3*resnet8"}, r"temperature must be none .* by ffl and layered_ffl a"),
        ({"distill.fused_to_branch": False, "distill.fused_to_branch_weight": 2},
         r"must be 1.0 where distill.fused_to_branch is false: it is read by ffl and layered_ffl "
         r"alone, where distill.fused_to_branch is true, not 2.0"),
        ({"distill.ensemble_to_fused": False, "distill.ensemble_to_fused_temperature": 2},
         r"must be none where distill.ensemble_to_fused is false: it is read by ffl and layered_f"),
        ({"distill.fused_to_branch_weight": 2, "distill.method": "pcl"},
         r"fused_to_branch_weight must be 1.0 for distill.method pcl: it is read by ffl"),
        ({"optim.fusion_weight_decay": 0.5, "distill.method": "one"},
         r"fusion_weight_decay must be 1e-05 for .* one: .* ktg with fused in distill.gates alone"),
        ({"distill.ramp_up": 0.5, "distill.method": "independent"}, r"every method but indepen"),
        ({"fusion.design": "sum", "distill.method": "dml"},
         r"must be concat_depthwise for .* dml: .* and ktg with fused in dis.* alone"),
        ({"optim.momentum": 0.5, "optim.optimizer": "adamw"},
         r"momentum must be 0.9 where optim.optimizer is adamw: it is read by sgd alone, not 0.5"),
        ({"optim.beta1": 0.5}, r"optim.optimizer is sgd: it is read by adamw, ffsd and afd a"),
        ({"optim.lr_milestones": "0.2", "optim.lr_schedule": "cosine"},
         r"must be 0.5,0.75 where optim.lr_schedule is cosine: .* step alone, not 0.2"),
        ({"data.mixing_alpha": 0.5}, r"must be 1.0 where data.mixing is none: .* mixup and cutmix"),
        ({"data.flip": True, "data.augment": "none"}, r"none where data.augment is none"),
        ({"distill.gates": "correct"},
         r"distill.gates must be none for .* ffl: it is read by ktg alone, not correct"),
        *[(ktg_with(gates), message) for gates, message in (
            ("5>0=through", r"distill.gates must name members of the network, 0 to 1, fused or "
                            r"ensemble, not '5'"),
            ("0>mean=through", r"fused or ensemble, not 'mean'"),
            ("fused>fused=through", r"must have no edge from fused to itself: a branch alone has"),
            ("1>ensemble=through", r"must not teach ensemble, which has no .* as 1>ensemble does"),
            ("1>1=cutoff,1>0=through", r"leave every branch something .* cut off every edge to 1"),
            ("1>0=open", r"must be one of through, .* or read like .* .at '1>0=open'"),
            ("1>0=linear,branch1>branch0=through", r"must name each edge once, not 1>0 twice"),
        )],
        ({"distill.method": "ahbf", "model.mix": "resnet8+resnet14"},
         r"model.mix must hold one backbone for distill.method ahbf.*not resnet14.resnet8"),
        ({"distill.method": "ahbf", "distill.views": True}, r"false for .* ahbf, which fuses maps"),
        ({"distill.logit_teacher": True, "distill.method": "lmcl"}, r"logit_teacher must be false"),
        ({"distill.contrast_weight": 1}, r"must be 0.1 for .* ffl: it is read by mcl and lmcl"),
        (ktg_with("1>0=correct") | {"data.mixing": "mixup"},
         r"data.mixing must be none for a gate correct of distill.gates, which asks whether"),
    ],
)  # fmt: skip
def test_what_a_method_can_not_do_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        check_method(small_config(**changes))


@pytest.mark.parametrize(
    ("method", "mix", "leader"),
    [
        ("switokd", "resnet110+resnet20", "resnet20"),
        ("switokd", "resnet20+4+resnet20+resnet8+12", "resnet8+12"),
        ("switokd", "wrn16_10+wrn16_2", "wrn16_2"),
        ("switokd", "3*resnet8", "resnet8"),
        ("ffsd", "resnet110+2*resnet20", "resnet110"),
    ],
)
def test_a_student_is_smaller_than_its_teachers_where_nobody_names_it(
    method: str, mix: str, leader: str
) -> None:
    config = resolved_from({"distill.method": method, "model.mix": mix})

    found = leader_of(config.model, config.distill)

    assert found is not None
    assert found == config.model.mix.index(leader)


def test_the_weights_of_cl_ilr_are_free_where_both_are_named() -> None:
    changes = {"distill.method": "cl_ilr", "distill.weight": 2, "distill.ce_weight": 1}

    check_method(small_config(**changes, objective="ensemble.accuracy"))


def test_the_objective_is_the_ensembles_where_nothing_is_fused() -> None:
    assert with_reachable_objective(small_config(distill__method="dml")).objective == (
        "ensemble.accuracy"
    )
    assert with_reachable_objective(small_config(distill__method="one")).objective == (
        "fused.accuracy"
    )


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("fused>0=through, 1>0=correct", "1>0=correct,fused>0=through"),
        ("branch1 > branch0 = correct; 0>0=through; 0>1=cutoff", "1>0=correct"),
        ("0>1=cutoff", "cutoff"),
        ("linear", "linear"),
    ],
)
def test_gates_have_one_way_of_writing(written: str, kept: str) -> None:
    config = with_overrides(small_config(), ktg_with(written))

    assert config.distill.gates == kept
    assert with_overrides(config, {"distill.gates": kept}) == config
    assert (method_of(config.distill).head == "fusion") == ("fused" in kept)


def test_the_docs_name_the_methods_that_refuse_views() -> None:
    refused = set()
    for method in METHODS:
        try:
            check_views(small_config(distill__method=method, distill__views=True))
        except SettingError:
            refused.add(method)
    with pytest.raises(SettingError, match="views must be false for distill.method ktg"):
        check_views(
            small_config(
                distill__method="ktg", distill__gates="fused>0=linear", distill__views=True
            )
        )

    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    said = text.partition("augmentation of its own; ")[2].partition(" refuse it")[0]
    assert said.endswith("and a `ktg` whose graph has `fused`")
    assert set(re.findall("`(.*?)`", said)) - {"ktg", "fused"} == refused
