"""How many branches? One question, everything else fixed: 2 to 8 ResNet-20s on the digits.

Every trial is drawn at random, has a seed of its own and runs to its end: the answer is a curve of
accuracy and cost over the number of branches, with its spread. Seven counts, three times each on
average.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "digits",
    "data.val_fraction": 0.2,
    "optim.epochs": 12,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
    "search.num_samples": 21,
    "search.sampler": "random",
    "search.scheduler": "none",
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 8), backbones=("resnet20",))
    return {"seed": trial.number}
