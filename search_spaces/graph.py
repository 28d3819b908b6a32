"""Who teaches whom, and when? A knowledge transfer graph of three ResNet-32s. CIFAR-100.

A gate for every ordered pair of branches, and from the fused classifier to each; the objective is
the target's accuracy on validation data (the published search is judged on the test split).
"""

import optuna

from ffl_ray.search import suggest_gates

BASE = {
    "data.name": "cifar100",
    "distill.method": "ktg",
    "optim.lr_schedule": "cosine",
    "model.mix": "3*resnet32",
    "objective": "deployed.accuracy",
    "search.num_samples": 200,
    "search.scheduler": "asha",
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_gates(trial, num_branches=3, others=("fused",))
    return {}
