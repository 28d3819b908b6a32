"""The four dimensions on a sixth of CIFAR-100 at 16x16, twelve epochs: a look on two CPU cores.

Small ResNets, 6,400 images to train on and 1,600 to validate on, by the fused classifier's NLL;
trials are stopped at half as everywhere: `--data-dir DATA`.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "cifar100",
    "data.image_size": 16,
    "data.fraction": 0.16,
    "data.val_fraction": 0.2,
    "optim.epochs": 12,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
    "objective": "fused.nll",
    "search.cpus_per_trial": 1,
    "search.num_samples": 20,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet8", "resnet14", "resnet20"))
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {}
