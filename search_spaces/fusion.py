"""Fused how? One question, everything else fixed: three ResNet-20s on the digits.

Nine designs (of two branches `pairwise` would be `concat_pointwise`). Every trial is drawn at
random, has a seed of its own and runs to its end, so that no design is judged by its first epochs.
Each design comes four times on average: their spread says what a difference means.
"""

import optuna

BASE = {
    "data.name": "digits",
    "data.val_fraction": 0.2,
    "model.mix": "3*resnet20",
    "optim.epochs": 12,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
    "search.num_samples": 36,
    "search.sampler": "random",
    "search.scheduler": "none",
}
FUSION_DESIGNS = [
    "concat_depthwise",
    "concat_pointwise",
    "sum",
    "mean",
    "gated",
    "attention",
    "squeeze_excitation",
    "pooled_linear",
    "pairwise",
]


def search_space(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_categorical("fusion.design", FUSION_DESIGNS)
    return {"seed": trial.number}
