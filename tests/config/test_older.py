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


def test_a_search_leaves_it_to_each_method_as_it_did() -> None:
    before = flatten(Config())
    del before[OWN_BATCHES]

    assert OWN_BATCHES not in to_go_on_with(before)
