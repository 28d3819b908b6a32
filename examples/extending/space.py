"""A search over four pieces of your own, beside those that are there.

Run in this folder: python -m ffl_ray.tune space.py
"""

import optuna

BASE = {
    "data.name": "data:bars",
    "model.trunk_stages": 1,
    "optim.epochs": 4,
    "optim.batch_size": 64,
    "optim.lr": 0.05,
    "search.num_samples": 8,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_categorical("model.mix", ["2*backbone:tiny", "backbone:tiny+resnet8"])
    trial.suggest_categorical("fusion.design", ["fusion:Maximum", "sum"])
    trial.suggest_categorical("distill.method", ["method:fused_first", "ffl"])
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {}
