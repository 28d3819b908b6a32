"""Whether searching helps FFL: mixes, designs, temperature and the optimiser on CIFAR-100 at 16x16.

Two fifths of the images (16,000 to train, 4,000 to validate on), 30 epochs, by the accuracy of what
is shipped. `python -m benchmarks.ffl_helps --searched` confirms the winner against the default
point, FFL as its authors published it with two ResNet-14, whose optimiser is searched as long.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "cifar100",
    "data.image_size": 16,
    "data.fraction": 0.4,
    "data.val_fraction": 0.2,
    "optim.epochs": 30,
    "optim.lr_schedule": "cosine",
    "objective": "deployed.accuracy",
    "compute.precision": "bfloat16",  # on several machines the same
    "search.cpus_per_trial": 1,
    "search.num_samples": 20,
    "search.plain_baseline": False,  # a network that nobody teaches is no winner here
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    """Five dimensions, two of them of the optimiser, which a baseline has too."""
    suggest_mix(trial, num_branches=(2, 4), backbones=("resnet8", "resnet14"))
    trial.suggest_categorical("fusion.design", ["concat_depthwise", "sum", "gated"])
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    trial.suggest_float("optim.lr", 0.02, 0.4, log=True)
    trial.suggest_float("optim.weight_decay", 1e-4, 2e-3, log=True)
    return {}
