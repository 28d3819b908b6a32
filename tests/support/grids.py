"""A small grid of trainings that nobody trained, written through the study's own writer."""

from __future__ import annotations

import math
from pathlib import Path

import optuna

from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import StudyConfig
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.search.samplers import new_sampler
from ffl_ray.search.searcher import drawn_columns
from ffl_ray.search.space import SearchSpace, trial_config

EPOCHS, SEEDS = 4, 2
DESIGNS = ("gated", "sum")
SETTINGS = {
    "objective": "fused.nll",
    "search.objectives": "fused.nll",
    "optim.epochs": EPOCHS,
    "search.sampler": "grid",
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_categorical("fusion.design", list(DESIGNS))
    trial.suggest_float("distill.temperature", 1.0, 5.0, step=2.0)
    trial.suggest_int("seed", 0, SEEDS - 1)
    return {}


def make_grid(folder: Path, left_out: int = 0, status: str = "completed") -> StudyTables:
    """A study of six points and two seeds.

    `sum` is worse by .2, each step of temperature by .1, seed 1 by .01. A point's epochs take one
    second with `gated` and two with `sum`; its NLL falls to what it is
    worth as exp(-epoch).

    Args:
        left_out: how many of the last trials are missing.
        status: of the last trial that is there.
    """
    space = SearchSpace("grid.py", {}, search_space)
    settings = with_overrides(StudyConfig(), SETTINGS)
    more = {"plan": {"max_concurrent_trials": 2, "num_workers": 1}}
    description = describe_study("search", flatten(settings), **more)
    tables = StudyTables.open(Storage(str(folder)), "grid", description, settings.objectives)
    study = optuna.create_study()
    count = len(DESIGNS) * 3 * SEEDS - left_out
    for number in range(count):
        study.sampler = new_sampler(settings.search, number)
        trial = study.ask()
        config = trial_config(space, settings.training, trial)
        study.tell(trial, 0.0)
        trial_id = f"{number:05d}"
        tables.start(trial_id, config, **drawn_columns(study.trials[number]))
        slow = 1 + (config.fusion.design == "sum")
        for epoch in range(1, EPOCHS + 1):
            value = final_nll(config.fusion.design, config.distill.temperature, config.seed)
            value += math.exp(-epoch) - math.exp(-EPOCHS)
            row = {"epoch": epoch, "best_epoch": epoch, "objective_value": value}
            member = {"member": "fused", "split_hash": "ab", "epoch": epoch, "nll": value}
            row["accelerator_s"] = float(epoch * slow)
            tables.epoch(trial_id, row, [member], [member])
        tables.end(trial_id, status if number == count - 1 else "completed", None)
    return tables


def final_nll(design: str, temperature: float, seed: int) -> float:
    """What a training ends with."""
    return 0.5 + 0.2 * (design == "sum") + 0.05 * (temperature - 1) + 0.01 * seed
