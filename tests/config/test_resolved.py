"""What is left to the method: put in once, and nothing else is touched."""

import pytest

from ffl_ray.config.methods import METHODS, resolved, resolved_from
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.errors import SettingError

LEFT = {
    "distill.temperature": "temperature",
    "distill.weight": "weight",
    "distill.views": "views",
    "distill.ramp_up": "ramp_up",
    "model.trunk_stages": "trunk_stages",
}
MIX = "model.mix"
SET: dict[str, object] = {
    "distill.temperature": 2.5,
    "distill.weight": 0.25,
    "distill.views": True,
    "distill.ramp_up": 0.7,
    "distill.view_policies": ("cutout", "rotation"),
    "model.trunk_stages": 1,
    "model.mix": ("resnet8", "resnet8"),
    "data.images_per_class": 1,
}


@pytest.mark.parametrize("name", METHODS)
def test_the_methods_own_values_stand_where_none_is_set_and_nowhere_else(name: str) -> None:
    config = with_overrides(Config(), {"distill.method": name})

    found, before = flatten(resolved(config)), flatten(config)

    assert list(found) == list(before)
    assert {key: found[key] for key in LEFT} == {
        key: getattr(METHODS[name], part) for key, part in LEFT.items()
    }
    count, step = METHODS[name].num_branches, METHODS[name].deeper
    deeper = tuple(f"resnet32+{step * index}" for index in range(1, count) if step)
    assert found.pop(MIX) == ("resnet32", *(deeper or ("resnet32",) * (count - 1)))
    positives = "positives" in METHODS[name].needs
    assert found.pop("data.images_per_class") == (16 if positives else 1)
    assert found.pop("distill.own_batches") == (name == "independent")
    policies = ("rotation", "cutout", "randaugment") if name == "okdph" else ()
    assert found.pop("distill.view_policies") == policies
    assert {key for key in found if found[key] != before[key]} == set(LEFT)


def test_what_is_set_stays_and_resolving_again_changes_nothing() -> None:
    config = resolved_from(SET)

    assert {name: flatten(config)[name] for name in SET} == SET
    assert resolved(config) == config


def test_a_method_of_ones_own_is_imported_only_where_something_is_left_to_it() -> None:
    named: dict[str, object] = {"distill.method": "no_such_module:function"}

    assert resolved_from(SET | named).distill.temperature == 2.5
    with pytest.raises(SettingError, match="no_such_module .* can't be imported"):
        resolved_from(named)


def test_a_resolved_config_leaves_nothing_to_the_method() -> None:
    with pytest.raises(SettingError, match=r"distill.temperature must be .*number, not None"):
        with_overrides(resolved_from({}), {"distill.temperature": None})


@pytest.mark.parametrize(
    ("data", "batch_size", "images"),
    [
        ("cifar100", 128, 2),
        ("cifar10", 128, 16),
        ("cifar10", 60, 6),
        ("folder", 96, 2),
        ("digits", 7, 7),
    ],
)
def test_a_batch_has_the_fewest_images_of_a_class_of_which_it_can_be_made(
    data: str, batch_size: int, images: int
) -> None:
    mcl = {"distill.method": "mcl", "data.name": data, "optim.batch_size": batch_size}

    assert resolved_from(mcl).data.images_per_class == images
    assert resolved_from(mcl | {"data.images_per_class": 4}).data.images_per_class == 4


def test_every_branch_has_a_view_of_its_own_where_the_method_says_so() -> None:
    mix: dict[str, object] = {"model.mix": "3*resnet8"}

    assert resolved_from(mix).num_views == 1
    assert resolved_from(mix | {"distill.method": "kdcl"}).num_views == 3
