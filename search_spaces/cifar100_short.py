"""The four dimensions on a fifth of CIFAR-100, three epochs: a first look on two CPU cores."""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "cifar100",
    "data.fraction": 0.2,
    "optim.epochs": 3,
    "optim.lr_schedule": "cosine",
    "search.num_samples": 8,
    "search.scheduler": "none",
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet20", "wrn16_2"))
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {}
