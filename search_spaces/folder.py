"""The four dimensions on a folder of images of your own: `--data-dir DIR --budget 1h`.

DIR holds `train/CLASS/` and `test/CLASS/` (or `val/CLASS/`), or the class folders alone: then a
fifth of every class is set aside as the test split. `--budget` chooses from LADDERS what fits the
time on this machine; without it the search is as BASE says.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "folder",
    "data.image_size": 32,
    "data.val_fraction": 0.2,
    "optim.epochs": 30,
    "optim.lr_schedule": "cosine",
    "optim.weight_decay": 5e-4,
    "search.num_samples": 24,
    "search.backbones": ("resnet14", "resnet20"),
}
# What --budget chooses from, the least first. Nobody is stopped before half of the epochs.
LADDERS = {
    "data.fraction": (0.05, 0.1, 0.2, 0.5, 1.0),
    "search.num_samples": (8, 12, 16, 24, 32, 40),
    "optim.epochs": (12, 16, 20, 30, 40, 60),
    "data.image_size": (16, 24, 32, 48, 64, 96, 128),
    "search.backbones": (
        "resnet8,resnet14",
        "resnet14,resnet20",
        "resnet20,wrn16_2",
        "resnet20,resnet32,wrn16_2",
    ),
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet20", "wrn16_2"))
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {}
