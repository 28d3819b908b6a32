"""A grid to replay searches on: seven mixes, four designs, four temperatures, two seeds each.

Every point is trained to its end, so that `python -m ffl_ray.replay` can say what a sampler and a
scheduler would have found. The embedded digits with 404 images to train on, by the fused
classifier's NLL: hard enough not to saturate. 224 trials, half an hour on two cores.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "digits",
    "data.fraction": 0.7,
    "data.val_fraction": 0.6,
    "optim.epochs": 12,
    "optim.batch_size": 32,
    "optim.lr_schedule": "cosine",
    "objective": "fused.nll",
    "search.sampler": "grid",
    "search.scheduler": "none",
    "search.cpus_per_trial": 1,
    "search.keep_checkpoints": 0,
    "search.num_samples": 224,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet20", "wrn16_2"))
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    trial.suggest_float("distill.temperature", 1.0, 7.0, step=2.0)
    trial.suggest_int("seed", 0, 1)
    return {}
