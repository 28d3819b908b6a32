"""How many branches, of which kind, fused how, at which temperature: CIFAR-10, full length."""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "cifar10",
    "optim.epochs": 300,
    "optim.lr_schedule": "cosine",
    "search.num_samples": 40,
}
FUSION_DESIGNS = [
    "concat_depthwise",
    "concat_pointwise",
    "sum",
    "gated",
    "attention",
    "squeeze_excitation",
    "pooled_linear",
    "pairwise",
]


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 4), backbones=("resnet20", "resnet32", "wrn16_2"))
    trial.suggest_categorical("fusion.design", FUSION_DESIGNS)
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {}
