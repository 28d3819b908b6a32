"""Samplers propose what their names say."""

from __future__ import annotations

import optuna
import pytest

from ffl_ray.config.settings import SearchConfig
from ffl_ray.search.samplers import new_sampler


def distance(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", -3, 3), trial.suggest_float("y", 0.01, 10, log=True)
    return (x - 1) ** 2 + (y - 2) ** 2 + trial.suggest_int("count", 1, 4)


def test_cmaes_made_again_from_its_trials_proposes_what_optunas_own_proposes() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ours, own = optuna.create_study(), optuna.create_study()

    for number in range(40):
        ours.sampler = new_sampler(SearchConfig(sampler="cmaes", startup_trials=3), number)
        own.sampler = optuna.samplers.CmaEsSampler(seed=number, n_startup_trials=3)
        for study in (ours, own):
            trial = study.ask()
            study.tell(trial, distance(trial))

    for mine, optunas in zip(ours.trials, own.trials, strict=True):
        assert mine.params == pytest.approx(optunas.params, rel=1e-9, abs=1e-9)
    assert max(trial.system_attrs.get("cma:generation", 0) for trial in own.trials) >= 3
    assert not any("cma:optimizer:0" in trial.system_attrs for trial in ours.trials)
