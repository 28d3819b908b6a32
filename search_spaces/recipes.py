"""Which recipe: every method with the settings that are its own. CIFAR-10 at 16x16.

Its own are those that at most one other method reads, of `ffl` its weights alone; a temperature
goes with them, and a design where maps are fused. Three ResNet-8 (of `ahbf` a ladder of depths),
4,000 images to train on and 2,000 to validate on, by the accuracy of the member that a method's
authors ship: 42 trainings of 10 epochs, twenty minutes on two cores: `--data-dir DATA`.
"""

import optuna

from ffl_ray.config.methods import METHODS
from ffl_ray.config.readers import READ_BY
from ffl_ray.search import suggest_gates

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
CHOICES: dict[str, list[bool | int | str | None]] = {
    "fusion.design": ["concat_depthwise", "sum", "gated"],
    "distill.kdcl_teacher": ["min_logit", "naive", "linear", "general", "general_batch"],
    "distill.dml_teacher": ["each", "mean"],
    "distill.detach_targets": [True, False],
    "distill.averaged_gradient": [True, False],
    "distill.student_shares": ["equal", "dirichlet"],
    "distill.write_back_steps": [None, 5],
    "distill.layer_detach": [False, True],
    "distill.logit_teacher": [False, True],
    "distill.entropy_schedule": ["rising", "falling", "constant"],
}
SHARES = {
    "distill.ce_weight": (0.25, 1.0),
    "distill.averaged_weight": (0.0, 0.7),
    "distill.write_back": (0.25, 1.0),
    "distill.layer_decay": (0.1, 1.0),
    "distill.entropy_limit": (0.1, 0.9),
}
SCALES = {
    "distill.temperature": (1.0, 8.0),
    "distill.ensemble_to_fused_weight": (0.3, 3.0),
    "distill.fused_to_branch_weight": (0.3, 3.0),
    "distill.ema_span": (0.003, 0.3),
    "distill.layer_weight": (0.3, 3.0),
    "distill.layer_to_branch_weight": (0.3, 3.0),
    "distill.diversity_weight": (1e-6, 1e-3),
    "distill.attention_weight": (1.0, 100.0),
    "distill.decoder_weight": (100.0, 10_000.0),
    "distill.contrast_weight": (0.03, 0.3),
    "distill.contrast_temperature": (0.05, 0.5),
    "distill.assistant_weight": (1.0, 4.0),
    "distill.deeper_weight": (1.0, 4.0),
    "distill.early_span": (0.003, 0.1),
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    method = trial.suggest_categorical("distill.method", list(METHODS))
    for name in (*CHOICES, *SHARES, *SCALES):
        if not READ_BY[name].read({"distill.method": method}):
            continue
        if name in CHOICES:
            trial.suggest_categorical(name, CHOICES[name])
        else:
            trial.suggest_float(name, *(SHARES | SCALES)[name], log=name in SCALES)
    if method == "ktg":
        suggest_gates(trial, num_branches=3)
    if METHODS[method].deeper:
        return {"model.mix": "resnet8+resnet8+4+resnet8+8"}
    return {}
