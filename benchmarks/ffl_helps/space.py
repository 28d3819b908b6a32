"""FFL as its authors published it, on CIFAR at 16x16: two ResNet-14, 30 epochs. Nothing varies.

`python -m benchmarks.ffl_helps` trains this one point and confirms it: nobody chose it by its
results, and nothing was tuned, neither for FFL nor for what it is held against. The optimiser's
settings are those usual for such short trainings, and the same for all arms. The number format is
named, so that it stays the same where seeds are trained on several machines.
"""

import optuna

BASE = {
    "data.name": "cifar100",
    "data.image_size": 16,
    "model.mix": "2*resnet14",
    "optim.epochs": 30,
    "optim.lr_schedule": "cosine",
    "optim.weight_decay": 5e-4,
    "objective": "deployed.accuracy",
    "search.sampler": "grid",
    "search.scheduler": "none",
    "compute.precision": "bfloat16",
    "search.cpus_per_trial": 1,
    "search.num_samples": 1,
    "search.plain_baseline": False,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    """One point."""
    trial.suggest_categorical("distill.method", ["ffl"])
    return {}
