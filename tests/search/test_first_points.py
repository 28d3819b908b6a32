"""The first points of a search: the defaults, then what somebody asks for."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from support.helpers import FOUR_DIMENSIONS

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.errors import SettingError
from ffl_ray.search.first_points import default_point, read_points
from ffl_ray.search.mix import suggest_mix
from ffl_ray.search.space import load_space, settle


def space(trial: optuna.Trial) -> None:
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet20", "resnet32", "wrn16_2"))
    if trial.suggest_categorical("fusion.design", ["sum", "concat_depthwise"]) == "sum":
        trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)


def test_the_default_point_has_the_values_of_a_training_without_a_search() -> None:
    point = default_point(space, Config())

    assert point == {
        "num_branches": 2, "mix.resnet20": 0, "mix.resnet32": 2, "mix.wrn16_2": 0,
        "fusion.design": "concat_depthwise",
    }  # fmt: skip


def test_what_a_space_does_not_hold_becomes_the_nearest_in_it() -> None:
    digits = load_space(FOUR_DIMENSIONS)
    base = with_overrides(settle(digits, {}).training, {"distill.temperature": 20})

    point = default_point(digits.suggest, base)

    assert point == {
        "num_branches": 2, "mix.resnet20": 2, "mix.wrn16_2": 0,
        "fusion.design": "concat_depthwise", "distill.temperature": 8.0,
    }  # fmt: skip


def test_points_are_read_from_text() -> None:
    points = read_points(
        space,
        [
            "model.mix=resnet20+2*wrn16_2 fusion.design=sum",
            "distill.temperature=2.5 fusion.design=sum",
        ],
    )

    assert points == [
        {
            "num_branches": 3, "mix.resnet20": 1, "mix.resnet32": 0, "mix.wrn16_2": 2,
            "fusion.design": "sum",
        },
        {"distill.temperature": 2.5, "fusion.design": "sum"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fusion.design", "must read like model.mix=.* fusion.design=sum"),
        ("fusion.design='sum", "must read like"),
        ("fusion.desing=sum", r"fusion.desing must be one of .*nearest known is 'fusion.design'"),
        ("fusion.design=gated", "fusion.design must be sum, concat_depthwise, not gated"),
        ("model.mix=2*resnet56", "must be 2 to 3 branches of resnet20, resnet32, wrn16_2, not 2"),
        ("model.mix=4*resnet20", "must be 2 to 3 branches"),
        ("mix.resnet20=2", "mix.resnet20 must be one of"),
        ("model.mix=2*resnet20 num_branches=3", "num_branches must agree with what stands before"),
        (f"num_branches=1{'0' * 400}", "num_branches must be 2 to 3"),
        (
            "fusion.design=concat_depthwise distill.temperature=2",
            "distill.temperature is not asked for at this point",
        ),
    ],
)
def test_a_point_outside_the_space_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        read_points(space, [text])


def test_a_mix_that_is_a_choice_is_read_as_one() -> None:
    def choices(trial: Any) -> None:
        trial.suggest_categorical("model.mix", ["2*resnet20", "2*wrn16_2"])

    assert read_points(choices, ["model.mix=2*wrn16_2"]) == [{"model.mix": "2*wrn16_2"}]


def test_a_mix_that_a_space_makes_itself_is_no_parameter() -> None:
    def returned(trial: Any) -> None:
        trial.suggest_categorical("num_branches", [2, 4])

    with pytest.raises(SettingError, match="model.mix must be one of num_branches, not 2"):
        read_points(returned, ["model.mix=2*wrn16_2"])
