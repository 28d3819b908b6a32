"""What of FFL helps: each direction of its distillation, and the fusion's gradient, on and off.

Eight points, three seeds each: with neither direction it is fusion without distillation, and
`fusion.detach` keeps the fused classifier's gradient from the branches. CIFAR-100.
"""

import optuna

BASE = {
    "data.name": "cifar100",
    "model.mix": "2*resnet32",
    "search.sampler": "grid",
    "search.scheduler": "none",
    "search.num_samples": 24,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_categorical("distill.ensemble_to_fused", [True, False])
    trial.suggest_categorical("distill.fused_to_branch", [True, False])
    trial.suggest_categorical("fusion.detach", [False, True])
    trial.suggest_int("seed", 0, 2)
    return {}
