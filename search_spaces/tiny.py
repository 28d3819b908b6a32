"""The four dimensions on a folder of 64x64 images, such as Tiny-ImageNet: `--data-dir DIR`.

DIR holds `train/CLASS/` with images at any depth, as Tiny-ImageNet's own `train/` does. Its `val/`
is one flat folder with a list of labels: sort it into class folders before anyone confirms a result
on it; a search does not open it. 100,000 images of 64x64 take 1.2 GB of memory in every trial.
"""

import optuna

from ffl_ray.search import suggest_mix

BASE = {
    "data.name": "folder",
    "data.image_size": 64,
    "optim.epochs": 100,
    "optim.lr_schedule": "cosine",
    "search.num_samples": 30,
}


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 4), backbones=("resnet20", "resnet32", "wrn16_2"))
    trial.suggest_categorical(
        "fusion.design", ["concat_depthwise", "concat_pointwise", "sum", "gated"]
    )
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {}
