"""The four dimensions on a tenth of ImageNet at 224x224: `--data-dir DIR`, GPUs.

DIR holds `train/CLASS/*.JPEG`, and `val/CLASS/` for whoever confirms a result. A tenth of
ImageNet would take 19 GB decoded: its files are streamed (`data.residency`), decoded for every
epoch by the CPUs that each trial has beside its GPU. `python -m ffl_ray.bench input` says how many
of them keep up with a network. CIFAR backbones keep full resolution in their first stage, so a
batch is small: `--dry-run` says what fits.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "folder",
    "data.image_size": 224,
    "data.fraction": 0.1,
    "optim.epochs": 90,
    "optim.lr_schedule": "cosine",
    "optim.batch_size": 64,
    "optim.lr": 0.05,
    "compute.precision": "bfloat16",
    "search.num_samples": 20,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet20", "resnet32", "wrn16_2"))
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {}
