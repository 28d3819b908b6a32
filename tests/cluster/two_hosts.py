"""A search space whose trials are long enough to cut the power in."""

import optuna

EPOCHS = 12
BASE = {
    "data.name": "digits",
    "data.val_fraction": 0.2,
    "model.mix": "2*resnet8",
    "optim.epochs": EPOCHS,
    "optim.batch_size": 64,
    "search.num_samples": 1,
    "search.scheduler": "none",
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_float("distill.temperature", 1.0, 4.0)
    return {}
