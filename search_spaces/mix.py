"""Which backbones together? One question, everything else fixed: three branches on the digits.

Ten multisets of ResNet-20, ResNet-32 and WRN-16-2; the order of branches does not exist. Every
trial is drawn at random, has a seed of its own and runs to its end, so that no mix is judged by
its first epochs. Each mix comes three times on average: their spread says what a difference means.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "digits",
    "data.val_fraction": 0.2,
    "optim.epochs": 12,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
    "search.num_samples": 30,
    "search.sampler": "random",
    "search.scheduler": "none",
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(3, 3), backbones=("resnet20", "resnet32", "wrn16_2"))
    return {"seed": trial.number}
