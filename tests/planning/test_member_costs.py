"""Constraints that a network decides, held against what a space proposes before anything starts."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

import pytest
from support.helpers import FOUR_DIMENSIONS

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import resolved, resolved_from, with_reachable_objective
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import SearchConfig
from ffl_ray.distill.networks import build_trained
from ffl_ray.errors import PlanError
from ffl_ray.models.cost import MemberCost, member_costs
from ffl_ray.planning.cost import DataSize, training_cost
from ffl_ray.planning.member_costs import check_grid, checked_constraints, planned_members
from ffl_ray.search.points import points
from ffl_ray.search.space import load_space, settle

DIGITS = load_space(FOUR_DIMENSIONS)
ENDS = list(itertools.islice(points(DIGITS, settle(DIGITS, {}).training, 0), 2))


def macs(place: int) -> int:
    rows = planned_members(ENDS[place].config, 10)
    return int(next(row["macs"] for row in rows if row["member"] == "ensemble"))


def as_if_none_was_built() -> None:
    """Forget which networks of timm were checked: whoever plans first has checked none."""
    from ffl_ray.models.families import timm_nets  # loads torchvision and torch's compiler

    timm_nets.check_images.cache_clear()


@pytest.mark.parametrize(
    "settings",
    [
        {"model.mix": "resnet8+wrn16_2", "fusion.design": "gated"},
        {"model.mix": "2*resnet8", "distill.method": "one"},
        {"model.mix": "2*resnet8", "distill.method": "ktg"},
        {"model.mix": "resnet8+resnet8+4+resnet8+8", "distill.method": "ahbf"},
        {"model.mix": "2*torchvision:squeezenet1_1", "data.name": "cifar10"},
        {"model.mix": "resnet8+timm:resnet10t", "data.name": "cifar10"},
    ],
    ids=str,
)
def test_costs_without_numbers_are_those_of_the_network(settings: dict[str, object]) -> None:
    as_if_none_was_built()
    config = with_reachable_objective(resolved_from(settings))
    planned = {row.pop("member"): row for row in planned_members(config, 10)}
    image = image_shape(config.data)
    network = build_trained(config, image_shape=image, num_classes=10)

    assert {name: MemberCost(row["parameters"], row["macs"]) for name, row in planned.items()} == {
        name: cost for name, cost in member_costs(network, image).items() if name in planned
    }
    assert {*planned} == {*network.member_names}


def test_a_librarys_network_with_published_weights_is_planned_without_them() -> None:
    as_if_none_was_built()
    mix = {"model.mix": "2*timm:resnet10t.c3_in1k", "model.pretrained": True}
    config = resolved_from(mix | {"data.name": "cifar10", "distill.method": "independent"})

    size = training_cost(config, DataSize(10, 1, 1))

    assert size.macs == sum(row["macs"] for row in planned_members(config, 10)[:2])


def test_the_plan_says_how_many_configs_keep_what_a_network_decides() -> None:
    bound = (macs(0) + macs(1)) // 2
    search = SearchConfig(constraints=(f"ensemble.macs<={bound}", "ensemble.accuracy>=0.9"))

    said = checked_constraints(ENDS, search, 10)

    assert macs(0) != macs(1)
    assert said == f"1 of 2 sampled configs keep ensemble.macs<={bound}"
    assert checked_constraints(ENDS, SearchConfig(), 10) == ""


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (
            ("macs<=1000",),
            r"deployed.macs<=1000 is kept by none of 2 .*num_branches=",
        ),
        (("ensemble.macs<=5e6", "ensemble.macs>=6e6"), "can't be kept together: 0 of 2"),
    ],
)
def test_what_no_config_keeps_is_refused(bounds: tuple[str, ...], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        checked_constraints(ENDS, SearchConfig(constraints=bounds), 10)


GRID = """
BASE = {"data.name": "digits"}

def search_space(trial):
    trial.suggest_categorical("model.mix", ["2*resnet8", "2*resnet14", "2*resnet20"])
    trial.suggest_categorical("fusion.design", ["sum", "mean"])
"""


@pytest.mark.parametrize(
    ("sampler", "constraints", "trials"),
    [("grid", True, 4), ("random", True, 6), ("grid", False, 6)],
)
def test_a_grid_has_as_many_points_within_bounds_as_are_tried(
    sampler: Literal["grid", "random"], constraints: bool, trials: int, tmp_path: Path
) -> None:
    path = tmp_path / "space.py"
    path.write_text(GRID)
    space = load_space(str(path))
    base = settle(space, {}).training
    middle = planned_members(resolved(with_overrides(base, {"model.mix": "2*resnet14"})), 10)
    bound = f"ensemble.macs<={next(r['macs'] for r in middle if r['member'] == 'ensemble')}"
    search = SearchConfig(
        sampler=sampler, num_samples=trials, constraints=(bound,) if constraints else ()
    )

    check_grid(space, base, search, 10)

    if sampler == "grid" and constraints:
        more = search.model_copy(update={"num_samples": 5})
        with pytest.raises(PlanError, match=r"at most the 4 points .* keep ensemble.macs<=\d+, "):
            check_grid(space, base, more, 10)
