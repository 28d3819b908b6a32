"""Which method, in an hour on two CPU cores: a fifth of CIFAR-100, four epochs, three seeds."""

import optuna

from ffl_ray.config.methods import METHODS

BASE = {
    "data.name": "cifar100",
    "data.fraction": 0.2,
    "data.val_fraction": 0.25,
    "model.mix": "3*resnet20",
    "optim.epochs": 4,
    "optim.lr_schedule": "cosine",
    "objective": "mean_branch.accuracy",
    "search.sampler": "grid",
    "search.scheduler": "none",
    "search.cpus_per_trial": 1,
    "search.num_samples": 3 * len(METHODS),
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_categorical("distill.method", list(METHODS))
    trial.suggest_int("seed", 0, 2)
    return {}
