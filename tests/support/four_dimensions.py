"""How many branches, of which kind, fused how, at which temperature: the digits, for tests."""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "digits",
    "data.val_fraction": 0.2,
    "optim.epochs": 12,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
    "search.num_samples": 16,
    "search.reduction_factor": 2,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 4), backbones=("resnet20", "wrn16_2"))
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {}
