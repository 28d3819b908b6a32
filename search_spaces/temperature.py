"""At which temperature? One question, everything else fixed: two ResNet-20s on the digits.

From 1 (probabilities as they are) to 16, evenly over the logarithm. Every trial is drawn at
random, has a seed of its own and runs to its end, so that no temperature is judged before ramp-up
lets it act.
"""

import optuna

BASE = {
    "data.name": "digits",
    "data.val_fraction": 0.2,
    "model.mix": "2*resnet20",
    "optim.epochs": 12,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
    "search.num_samples": 16,
    "search.sampler": "random",
    "search.scheduler": "none",
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_float("distill.temperature", 1.0, 16.0, log=True)
    return {"seed": trial.number}
