"""Which method, in an hour on two CPU cores: a fifth of CIFAR-100, four epochs, three seeds.

The methods whose authors let the distill weight rise over 80 of 300 epochs have the same share of
four here; the others keep it at its full value, as theirs do.
"""

import optuna

from ffl_ray.config.methods import METHODS

EPOCHS = 4
BASE = {
    "data.name": "cifar100",
    "data.fraction": 0.2,
    "data.val_fraction": 0.25,
    "model.mix": "3*resnet20",
    "optim.epochs": EPOCHS,
    "optim.lr_schedule": "cosine",
    "objective": "mean_branch.accuracy",
    "search.sampler": "grid",
    "search.scheduler": "none",
    "search.cpus_per_trial": 1,
    "search.num_samples": 3 * len(METHODS),
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    method = trial.suggest_categorical("distill.method", list(METHODS))
    trial.suggest_int("seed", 0, 2)
    return {"distill.ramp_up_epochs": METHODS[method].ramp_up_epochs * EPOCHS / 300}
