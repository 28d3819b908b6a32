"""The grid behind the default search: seven mixes, four designs, three temperatures, three seeds.

Every point of `digits` on a grid, trained to its end: on it `python -m benchmarks.answers` says how
often a search of so many trials answers, and how often wrongly. 252 trials, ten minutes.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "digits",
    "data.fraction": 0.7,
    "data.val_fraction": 0.6,
    "optim.epochs": 10,
    "optim.batch_size": 32,
    "optim.lr": 0.05,
    "optim.lr_schedule": "cosine",
    "objective": "fused.nll",
    "search.sampler": "grid",
    "search.scheduler": "none",
    "search.cpus_per_trial": 1,
    "search.keep_checkpoints": 0,
    "search.num_samples": 252,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet8", "wrn16_2"))
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    trial.suggest_float("distill.temperature", 1.0, 7.0, step=3.0)
    trial.suggest_int("seed", 0, 2)
    return {}
