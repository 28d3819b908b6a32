"""Fused how? One question, everything else fixed: two ResNet-20s on the digits.

Every trial is drawn at random (startup_trials) and runs to its end (grace_epochs), so that no
design is judged by its first epochs.
"""

import optuna

BASE = {
    "data.name": "digits",
    "data.val_fraction": 0.2,
    "model.mix": "2*resnet20",
    "optim.epochs": 12,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
    "distill.ramp_up_epochs": 4,
    "search.num_samples": 12,
    "search.startup_trials": 12,
    "search.grace_epochs": 10_000,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    return {}
