"""Constraints: how they are written, and by how much a training breaks one."""

import math

import pytest

from ffl_ray.config.constraints import parse_constraint
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import StudyConfig
from ffl_ray.errors import SettingError

MEMBERS = [
    {"member": "branch0", "role": "deployed", "macs": 30, "accuracy": 0.8, "latency_ms": None},
    {"member": "branch1", "role": "deployed", "macs": 50, "accuracy": 0.9, "latency_ms": None},
    {"member": "ensemble", "role": "whole", "macs": 80, "accuracy": 0.95, "latency_ms": None},
]


@pytest.mark.parametrize(
    ("text", "name", "known", "excess"),
    [
        ("ensemble.macs<=100", "ensemble.macs<=100", True, -0.2),
        (" macs <= 32 ", "deployed.macs<=32", True, 0.25),
        ("ensemble.accuracy>=0.9", "ensemble.accuracy>=0.9", False, -0.05 / 0.9),
        ("best_branch.macs<=40", "best_branch.macs<=40", False, 0.25),
        ("ensemble.latency_ms<=5e-1", "ensemble.latency_ms<=0.5", False, math.inf),
    ],
)
def test_a_bound_is_read_and_held_against_members(
    text: str, name: str, known: bool, excess: float
) -> None:
    constraint = parse_constraint(text)

    assert constraint.name == name
    assert constraint.is_known_before == known
    assert constraint.excess(MEMBERS) == pytest.approx(excess)


@pytest.mark.parametrize("text", ["macs", "macs<5", "macs<=x", "macs<=nan", "macs<=inf", "a.b<=1"])
def test_anything_else_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(SettingError, match=r"search.constraints must (read like|be MEMBER)"):
        with_overrides(StudyConfig(), {"search.constraints": [text]})
