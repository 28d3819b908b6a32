"""Samplers propose what their names say."""

from __future__ import annotations

import optuna
import pytest

from ffl_ray.config.settings import SearchConfig
from ffl_ray.search.samplers import new_sampler


def point(trial: optuna.Trial) -> tuple[object, ...]:
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    return kind, trial.suggest_int("count", 1, 3 if kind == "a" else 2)


@pytest.mark.parametrize("at_once", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_a_grid_proposes_every_point_once_however_many_trials_run(seed: int, at_once: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = SearchConfig(sampler="grid", seed=seed)
    study = optuna.create_study()
    points = []
    running: list[optuna.Trial] = []

    for number in range(7):
        if len(running) == at_once:
            study.tell(running.pop(number % at_once), 0.0)
        study.sampler = new_sampler(search, number)
        running.append(study.ask())
        points.append(point(running[-1]))

    assert len(set(points)) == 7
