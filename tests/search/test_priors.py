"""Priors of a space shape what is drawn at random, and nothing that a sampler has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.errors import SpaceError
from ffl_ray.search.points import check_space
from ffl_ray.search.priors import WithPriors
from ffl_ray.search.samplers import new_sampler
from ffl_ray.search.space import load_space

SPACE = """
from ffl_ray.search import suggest_mix
PRIORS = {}
def search_space(trial):
    suggest_mix(trial, num_branches=(2, 4), backbones=("resnet20", "wrn16_2"))
    trial.suggest_categorical("fusion.design", ["sum", "gated", "attention"])
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
"""
PRIORS = {"distill.temperature": 2.0, "fusion.design": {"gated": 3, "sum": 1}, "num_branches": 4}


def written(folder: Path, priors: object) -> str:
    path = folder / "space.py"
    path.write_text(SPACE.replace("PRIORS = {}", f"PRIORS = {priors!r}"))
    return str(path)


def test_half_of_the_random_draws_follow_the_priors(tmp_path: Path) -> None:
    space = load_space(written(tmp_path, PRIORS))
    check_space(space, Config())
    search = SearchConfig(sampler="random")
    study = optuna.create_study()
    for number in range(600):
        study.sampler = WithPriors(new_sampler(search, number), space.priors, search)
        space.suggest(study.ask())

    drawn = [trial.params for trial in study.trials]
    share = {
        name: sum(params[name] == value for params in drawn) / 600
        for name, value in {"fusion.design": "gated", "num_branches": 4}.items()
    }
    assert share["fusion.design"] == pytest.approx(0.5 * 0.75 + 0.5 / 3, abs=0.07)
    assert 0.45 < share["num_branches"] < 0.75
    assert sum(params["fusion.design"] == "attention" for params in drawn) / 600 > 0.1
    near = sum(1.5 < params["distill.temperature"] < 2.7 for params in drawn) / 600
    assert near > 0.37  # 28% of the range, on the scale of its logarithm


def test_what_a_sampler_models_follows_the_results(tmp_path: Path) -> None:
    search = SearchConfig(sampler="tpe", startup_trials=4)
    study = optuna.create_study(direction="maximize")
    for number in range(30):
        study.sampler = WithPriors(new_sampler(search, number), {"x": 0.9}, search)
        trial = study.ask()
        study.tell(trial, -abs(trial.suggest_float("x", 0, 1) - 0.2))

    late = [trial.params["x"] for trial in study.trials[15:]]
    assert sum(abs(x - 0.2) < 0.2 for x in late) >= 10


@pytest.mark.parametrize(
    ("priors", "said"),
    [
        ([1], "PRIORS must map searched parameters"),
        ({"optim.lr": 0.1}, "PRIORS must be of num_branches, fusion.design, distill.temperature"),
        ({"mix.resnet20": 2}, "not of 'mix.resnet20'"),
        ({"distill.temperature": 9}, r"must be a number in its range \(1.0 to 8.0, log.*, not 9"),
        ({"distill.temperature": True}, "must be a number in its range"),
        ({"fusion.design": "sum"}, "must be choices with their weights"),
        ({"fusion.design": {"mean": 1}}, "must be choices with their weights"),
        ({"fusion.design": {"sum": 0}}, "must be choices with their weights"),
        ({"fusion.design": {"sum": 1e308, "gated": 1e308}}, "must be choices with their weights"),
        ({"fusion.design": {"sum": 10**400}}, "must be choices with their weights"),
        ({"fusion.design": {"sum": -1, "gated": 2}}, "must be choices with their weights"),
    ],
)
def test_a_prior_of_nothing_or_outside_is_refused(priors: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=said):
        check_space(load_space(written(tmp_path, priors)), Config())
