"""Constraints that a network decides, held against what a space proposes before anything starts."""

from __future__ import annotations

import itertools

import pytest
from support.helpers import FOUR_DIMENSIONS

from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import PlanError
from ffl_ray.planning.member_costs import checked_constraints, planned_members
from ffl_ray.search.points import points
from ffl_ray.search.space import load_space, settle

DIGITS = load_space(FOUR_DIMENSIONS)
ENDS = list(itertools.islice(points(DIGITS, settle(DIGITS, {}).training, 0), 2))


def macs(place: int) -> int:
    rows = planned_members(ENDS[place].config, 10)
    return int(next(row["macs"] for row in rows if row["member"] == "ensemble"))


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
