"""How many branches? One question, everything else fixed: 2 to 8 ResNet-20s on the digits.

Every trial is drawn at random (startup_trials) and runs to its end (grace_epochs): the answer is a
curve of accuracy and cost over the number of branches, and needs each point as often as the next.
Seven counts, three times each on average.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "digits",
    "data.val_fraction": 0.2,
    "optim.epochs": 12,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
    "distill.ramp_up_epochs": 4,
    "search.num_samples": 21,
    "search.startup_trials": 21,
    "search.grace_epochs": 10_000,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 8), backbones=("resnet20",))
    return {}
