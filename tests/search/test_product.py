"""A space made again from a grid's table."""

from __future__ import annotations

import itertools
import json
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, distribution_to_json

from ffl_ray.config.methods import resolved
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.config.variants import as_read
from ffl_ray.errors import StudyError
from ffl_ray.results.schema import config_columns
from ffl_ray.search.product import product_of

MIXES = ["2*resnet20", "resnet20+wrn16_2", "2*wrn16_2"]


def rows(mixes: list[str], parameter: str) -> list[dict[str, Any]]:
    kind = json.loads(distribution_to_json(CategoricalDistribution(mixes)))
    distributions = json.dumps({parameter: kind})
    return [
        config_columns(resolved(with_overrides(Config(), {"model.mix": mix})))
        | {"distributions": distributions}
        for mix in mixes
    ]


def test_a_grid_without_all_multisets_is_refused() -> None:
    product_of(rows(MIXES, "mix"), "grid", {})

    with pytest.raises(StudyError, match="grid holds 2 of the 3 mixes of its backbones"):
        product_of(rows(MIXES[:2], "mix"), "grid", {})


def test_a_mix_that_was_a_choice_is_suggested_as_one() -> None:
    space = product_of(rows(MIXES[:2], "model.mix"), "grid", {}).space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = [study.ask() for _ in range(8)]

    proposed = [space.suggest(trial) for trial in trials]

    assert {one["model.mix"] for one in proposed} == set(MIXES[:2])
    assert {*trials[0].params} == {"model.mix"}


SEVERAL = ("lr", "momentum", "weight_decay", "warmup")
CHOICES: dict[str, tuple[str | float, ...]] = {
    "optim.optimizer": ("sgd", "adamw"),
    "optim.momentum": (0.5, 0.9),  # AdamW reads none, and is left at .9
    "optim.lr": (0.1, 0.2),
}
FIRST = {name: values[0] for name, values in CHOICES.items()}


def rows_of_choices(points: list[tuple[object, ...]]) -> list[dict[str, Any]]:
    kinds = {
        name: json.loads(distribution_to_json(CategoricalDistribution(values)))
        for name, values in CHOICES.items()
    }
    configs = [with_overrides(Config(), dict(zip(CHOICES, point, strict=True))) for point in points]
    return [
        config_columns(resolved(as_read(config))) | {"distributions": json.dumps(kinds)}
        for config in configs
    ]


def test_points_that_differ_in_what_is_not_read_are_one() -> None:
    rows = rows_of_choices([*itertools.product(*CHOICES.values())])

    assert {*product_of(rows, "grid", FIRST).names} == {*CHOICES}
    with pytest.raises(StudyError, match=r"grid holds 5 of 6 points \(2, 2, 2 values of each"):
        product_of(rows[1:], "grid", FIRST)


def test_a_value_that_no_trial_reads_is_not_proposed() -> None:
    rows = rows_of_choices([*itertools.product(("sgd", "adamw"), (0.5,), (0.1, 0.2))])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    space = product_of(rows, "grid", FIRST).space

    proposed = [space.suggest(study.ask()) for _ in range(20)]
    assert {one["optim.momentum"] for one in proposed} == {0.5}


def test_rows_of_many_values_are_refused_at_once() -> None:
    kinds = {f"optim.{name}": [i / 100 for i in range(1, 31)] for name in SEVERAL}
    grids = {
        n: json.loads(distribution_to_json(CategoricalDistribution(v))) for n, v in kinds.items()
    }
    configs = [with_overrides(Config(), {n: v[i] for n, v in kinds.items()}) for i in range(30)]
    rows = [config_columns(resolved(c)) | {"distributions": json.dumps(grids)} for c in configs]

    with pytest.raises(StudyError, match="grid holds 30 of 810000 points"):
        product_of(rows, "grid", {n: v[0] for n, v in kinds.items()})
