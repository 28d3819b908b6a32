"""A small grid of trainings that nobody trained, written through the study's own writer."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json

from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import StudyConfig
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.search.grid import every_point
from ffl_ray.search.space import SearchSpace, proposed_config

EPOCHS, SEEDS = 4, 2
DESIGNS = ("gated", "sum")
SETTINGS = {
    "objective": "fused.nll",
    "search.objectives": "fused.nll",
    "optim.epochs": EPOCHS,
    "search.sampler": "grid",
}


def search_space(trial: Any) -> dict[str, object]:
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
    points = [*every_point(space.suggest)]
    points = points[: len(points) - left_out]
    for number, point in enumerate(points):
        trial = optuna.trial.FixedTrial(point)
        search_space(trial)
        kinds = {n: json.loads(distribution_to_json(d)) for n, d in trial.distributions.items()}
        config = proposed_config(settings.training, point)
        trial_id = f"{number:05d}"
        columns = {"params": json.dumps(point), "distributions": json.dumps(kinds)}
        tables.start(trial_id, config, **columns)
        slow = 1 + (config.fusion.design == "sum")
        for epoch in range(1, EPOCHS + 1):
            value = final_nll(config.fusion.design, config.distill.temperature, config.seed)
            value += math.exp(-epoch) - math.exp(-EPOCHS)
            row = {"epoch": epoch, "best_epoch": epoch, "objective_value": value}
            member = {"member": "fused", "split_hash": "ab", "epoch": epoch, "nll": value}
            row["accelerator_s"] = float(epoch * slow)
            tables.epoch(trial_id, row, [member], [member])
        tables.end(trial_id, status if point is points[-1] else "completed", None)
    return tables


def final_nll(design: str, temperature: float, seed: int) -> float:
    """What a training ends with."""
    return 0.5 + 0.2 * (design == "sum") + 0.05 * (temperature - 1) + 0.01 * seed
