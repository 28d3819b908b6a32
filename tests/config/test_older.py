"""Settings of a version that did not know one: what they are today."""

import json

import pytest

from ffl_ray.config.methods import METHODS, resolved, resolved_from
from ffl_ray.config.older import of_today, to_go_on_with
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config
from ffl_ray.results.schema import row_config

NEW = OWN_BATCHES, POLICIES = "distill.own_batches", "distill.view_policies"
OTHERWISE = {"independent": {OWN_BATCHES}, "okdph": {POLICIES}}


@pytest.mark.parametrize("name", METHODS)
def test_a_training_goes_on_unless_its_branches_would_see_other_batches(name: str) -> None:
    today = json.loads(json.dumps(flatten(resolved_from({"distill.method": name}))))
    before = {key: value for key, value in today.items() if key not in NEW}

    found = to_go_on_with(before)

    differing = {key for key in today if found[key] != today[key]}
    assert differing == OTHERWISE.get(name, set())
    in_a_checkpoint = {key: str(value) for key, value in before.items()}
    assert of_today(in_a_checkpoint)[OWN_BATCHES] is False
    assert of_today(in_a_checkpoint)[POLICIES] == "()"


def test_a_row_of_a_table_of_before_is_the_training_that_it_was() -> None:
    row = {"distill.method": "kdcl", "distill.kdcl_teacher": "general", "distill.views": True}
    alone = {"distill.method": "independent", "model.trunk_stages": 0, "distill.views": False}

    assert row_config(row).distill.kdcl_teacher == "general_batch"
    assert resolved(row_config(alone)).branch_seeds == ()
    today = row | {"distill.own_batches": False, "distill.view_policies": []}
    assert row_config(today).distill.kdcl_teacher == "general"


def test_what_a_method_of_before_ignored_is_no_difference_now() -> None:
    said = {"distill.kdcl_teacher": "linear", "distill.ema_span": 0.5, "distill.views": False}

    ffl, kdcl, pcl, own = (
        row_config({"distill.method": name, **said}).distill
        for name in ("ffl", "kdcl", "pcl", "support.own_methods:plain")
    )

    default = Config().distill
    assert (ffl.kdcl_teacher, ffl.ema_span) == (default.kdcl_teacher, default.ema_span)
    assert (kdcl.kdcl_teacher, kdcl.ema_span) == ("linear", default.ema_span)
    assert (pcl.kdcl_teacher, pcl.ema_span) == (default.kdcl_teacher, 0.5)
    assert (own.kdcl_teacher, own.ema_span) == ("linear", 0.5)


def test_a_checkpoint_and_a_study_of_before_with_what_was_ignored_go_on() -> None:
    today = flatten(resolved_from({"optim.lr_schedule": "cosine"}))
    ignored = {"distill.weight": 0.5, "optim.beta1": 0.5, "optim.lr_milestones": (0.2,)}
    stored = json.loads(json.dumps(today | ignored))

    in_a_study = to_go_on_with(stored)
    in_a_checkpoint = to_go_on_with({k: str(v) for k, v in (today | ignored).items()})

    assert in_a_study == json.loads(json.dumps(today))
    assert {k: str(v) for k, v in in_a_checkpoint.items()} == {k: str(v) for k, v in today.items()}
    leaves = flatten(Config()) | ignored  # a search's, which has its space decide
    assert to_go_on_with(leaves)["distill.weight"] == 0.5


def test_a_search_leaves_it_to_each_method_as_it_did() -> None:
    before = flatten(Config())
    del before[OWN_BATCHES]

    assert OWN_BATCHES not in to_go_on_with(before)
