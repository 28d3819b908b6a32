"""The four dimensions and the learning rate, over three decades: half the digits, six epochs."""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "digits",
    "data.val_fraction": 0.2,
    "data.fraction": 0.5,
    "optim.epochs": 6,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    """The four dimensions and optim.lr."""
    suggest_mix(trial, num_branches=(2, 4), backbones=("resnet20", "wrn16_2"))
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    trial.suggest_float("optim.lr", 0.001, 1.0, log=True)
    return {}
