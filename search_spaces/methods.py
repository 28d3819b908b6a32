"""Which method: as published and at equal sharing, on the same branches. CIFAR-100, three seeds.

As published a method shares the stages that its authors' networks share; at equal sharing all but
the last. The objective is the member that its authors ship. `ffl` is trained with its teaching
off as well: the same network, taught by labels alone. `python -m benchmarks.methods STUDY` prints
the table. Three branches, since OKDDip needs two peers and a leader; those of ahbf are a ladder of
depths, whose lowest step, the backbone of the others, is deployed.
"""

import optuna

from ffl_ray.config.methods import METHODS

SEEDS = 3
SHARED = -1  # all stages but the last
POINTS = 1 + sum(1 + (m.trunk_stages != SHARED and m.may_share) for m in METHODS.values())

BASE = {
    "data.name": "cifar100",
    "model.mix": "3*resnet32",
    "objective": "deployed.accuracy",
    "search.sampler": "grid",
    "search.scheduler": "none",
    "search.num_samples": SEEDS * POINTS,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    method = trial.suggest_categorical("distill.method", list(METHODS))
    own = METHODS[method].trunk_stages
    trial.suggest_int("model.trunk_stages", SHARED if METHODS[method].may_share else own, own)
    trial.suggest_int("seed", 0, SEEDS - 1)
    if METHODS[method].deeper:
        return {"model.mix": "resnet32+resnet32+4+resnet32+8"}
    if method != "ffl":
        return {}
    taught = trial.suggest_categorical("distill.fused_to_branch", [True, False])
    return {"distill.ensemble_to_fused": taught}
