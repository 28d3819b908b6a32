"""Which method, converged without a GPU: `methods` with three ResNet-8 on CIFAR-100 at 16x16.

Two fifths of the images (16,000 to train, 4,000 to validate on), 30 epochs: 99 trainings,
about six hours on two idle cores, nine on busy ones. A study that is stopped goes on.
"""

import optuna

from ffl_ray.config.methods import METHODS

SEEDS = 3
SHARED = -1  # all stages but the last
POINTS = 1 + sum(1 + (m.trunk_stages != SHARED and m.may_share) for m in METHODS.values())

BASE = {
    "data.name": "cifar100",
    "data.image_size": 16,
    "data.fraction": 0.4,
    "data.val_fraction": 0.2,
    "model.mix": "3*resnet8",
    "optim.epochs": 30,
    "optim.lr_schedule": "cosine",
    "optim.weight_decay": 5e-4,
    "objective": "deployed.accuracy",
    "search.sampler": "grid",
    "search.scheduler": "none",
    "search.cpus_per_trial": 1,
    "search.keep_checkpoints": 0,
    "search.num_samples": SEEDS * POINTS,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    method = trial.suggest_categorical("distill.method", list(METHODS))
    own = METHODS[method].trunk_stages
    trial.suggest_int("model.trunk_stages", SHARED if METHODS[method].may_share else own, own)
    trial.suggest_int("seed", 0, SEEDS - 1)
    if METHODS[method].deeper:
        return {"model.mix": "resnet8+resnet8+4+resnet8+8"}
    if method != "ffl":
        return {}
    taught = trial.suggest_categorical("distill.fused_to_branch", [True, False])
    return {"distill.ensemble_to_fused": taught}
