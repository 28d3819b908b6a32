"""How much should a fused classifier after every stage learn and teach, and how early? CIFAR-100.

Two ResNet-32s with `layered_ffl`: how much they share, what the early classifiers weigh, how fast
that falls towards the image, and whether the branches feel it. With both weights near zero, it is
`ffl`.
"""

import optuna

BASE = {
    "data.name": "cifar100",
    "distill.method": "layered_ffl",
    "model.mix": "2*resnet32",
    "objective": "deployed.accuracy",
    "optim.epochs": 60,
    "optim.lr_schedule": "cosine",
    "search.num_samples": 40,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_int("model.trunk_stages", 0, 2)
    trial.suggest_float("distill.layer_weight", 0.01, 3.0, log=True)
    trial.suggest_float("distill.layer_to_branch_weight", 0.01, 3.0, log=True)
    trial.suggest_float("distill.layer_decay", 0.1, 1.0)
    trial.suggest_categorical("distill.layer_detach", [False, True])
    return {"seed": trial.number}
