"""How many branches, of which kind, fused how, at which temperature: the embedded digits.

The default search: less than three minutes on two CPU cores, nothing to download. 404 images to
train on, so that not every config is right on nearly all; judged by NLL, on 602 others; every trial
to its end, with a seed of its own. So it has answers: docs/answers.md says how often, and how often
false ones, on `digits_grid`, where every point was trained.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "digits",
    "data.fraction": 0.7,
    "data.val_fraction": 0.6,
    "optim.epochs": 12,
    "optim.batch_size": 32,
    "optim.lr_schedule": "cosine",
    "objective": "fused.nll",
    "search.num_samples": 36,
    "search.sampler": "random",
    "search.scheduler": "none",
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet20", "wrn16_2"))
    trial.suggest_categorical("fusion.design", ["concat_depthwise", "concat_pointwise", "gated"])
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {"seed": trial.number}
