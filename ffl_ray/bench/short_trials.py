"""The search space of `bench study`: trials of about one second, on the embedded digits.

The bench sets the number of epochs from what one takes on this machine.
"""

import optuna

BASE = {
    "data.name": "digits",
    "data.fraction": 0.6,
    "data.val_fraction": 0.2,
    "model.mix": "2*resnet8",
    "optim.epochs": 5,
    "optim.batch_size": 64,
    "search.scheduler": "none",
    "search.plain_baseline": False,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    """One dimension, so that all trials cost the same."""
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {}
