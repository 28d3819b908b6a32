"""A grid to replay searches on: CIFAR-10 at 16x16, seven mixes of ResNet-8 and -14, two seeds each.

Every point is trained to its end, so that `python -m ffl_ray.replay` can say what a sampler and a
scheduler would have found. 4,000 images to train on, 2,000 to validate on, by the fused
classifier's NLL. 112 trials, an hour of one core: `--data-dir DATA`.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "cifar10",
    "data.image_size": 16,
    "data.fraction": 0.12,
    "data.val_fraction": 1 / 3,
    "optim.epochs": 10,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
    "objective": "fused.nll",
    "search.sampler": "grid",
    "search.scheduler": "none",
    "search.cpus_per_trial": 1,
    "search.keep_checkpoints": 0,
    "search.num_samples": 112,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet14", "resnet8"))
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    trial.suggest_float("distill.temperature", 1.0, 5.0, step=4.0)
    trial.suggest_int("seed", 0, 1)
    return {}
