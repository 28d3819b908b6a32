"""Which recipe: every method with the settings that it alone reads. CIFAR-10 at 16x16.

Three ResNet-8 (of `ahbf` a ladder of depths), 4,000 images to train on and 2,000 to validate on, by
the accuracy of the member that a method's authors ship: 42 trainings of 10 epochs, twenty
minutes on two cores: `--data-dir DATA`.
"""

import optuna

from ffl_ray.config.methods import METHODS

BASE = {
    "data.name": "cifar10",
    "data.image_size": 16,
    "data.fraction": 0.12,
    "data.val_fraction": 1 / 3,
    "model.mix": "3*resnet8",
    "model.trunk_stages": 0,
    "optim.epochs": 10,
    "optim.batch_size": 64,
    "optim.lr_schedule": "cosine",
    "objective": "deployed.accuracy",
    "search.scheduler": "none",
    "search.cpus_per_trial": 1,
    "search.num_samples": 42,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    method = trial.suggest_categorical("distill.method", list(METHODS))
    if METHODS[method].deeper:
        return {"model.mix": "resnet8+resnet8+4+resnet8+8"}
    if method == "independent":
        return {}
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    if method == "ffl":
        trial.suggest_categorical("fusion.design", ["concat_depthwise", "sum", "gated"])
    elif method == "kdcl":
        trial.suggest_categorical("distill.kdcl_teacher", ["min_logit", "naive", "linear"])
    elif method == "dml":
        trial.suggest_categorical("distill.dml_teacher", ["each", "mean"])
    elif method in ("mcl", "lmcl"):
        trial.suggest_float("distill.contrast_weight", 0.03, 0.3, log=True)
    elif method == "layered_ffl":
        trial.suggest_float("distill.layer_weight", 0.3, 3.0, log=True)
    return {}
