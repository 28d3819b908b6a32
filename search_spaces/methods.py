"""Which method: every one at its authors' defaults, on the same branches. CIFAR-100, three seeds.

Three branches, since OKDDip needs two peers and a leader. The objective is the mean branch, which
costs the same at inference for every method; `independent` is that backbone trained alone.
"""

import optuna

from ffl_ray.config.methods import METHODS

BASE = {
    "data.name": "cifar100",
    "model.mix": "3*resnet32",
    "objective": "mean_branch.accuracy",
    "search.sampler": "grid",
    "search.scheduler": "none",
    "search.num_samples": 3 * len(METHODS),
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_categorical("distill.method", list(METHODS))
    trial.suggest_int("seed", 0, 2)
    return {}
