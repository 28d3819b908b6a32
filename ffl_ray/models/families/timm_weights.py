"""Published weights of timm's networks: where they are, what they know, and how to have them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from ffl_ray.errors import SettingError, on_one_line
from ffl_ray.models.registry import TIMM

ENDINGS = (".safetensors", ".pth", ".bin")
Colours = tuple[float, ...]


def weights_of(name: str) -> Any:
    """Description of a network's published weights, timm's own."""
    models = importlib.import_module("timm.models")
    return models.get_pretrained_cfg(name.removeprefix(TIMM)) or models.PretrainedCfg()


def published_file(name: str) -> Path:
    """Where a network's published weights are, or where somebody may put them.

    In torch's folder as somebody put them, in the Hugging Face hub's cache, or in torch's folder as
    timm has downloaded them.
    """
    weights, put = weights_of(name), put_file(name)
    if put is None and weights.hf_hub_id:
        hub = importlib.import_module("huggingface_hub")
        files = ("model.safetensors", weights.hf_hub_filename or "pytorch_model.bin")
        cached = (hub.try_to_load_from_cache(weights.hf_hub_id, file) for file in files)
        put = next((Path(file) for file in cached if isinstance(file, str)), None)
    elif put is None and weights.url:
        return _folder() / str(weights.url).rpartition("/")[2]
    return put or _folder() / f"{_stem(name)}{ENDINGS[0]}"


def put_file(name: str) -> Path | None:
    """The file of published weights that somebody put into torch's folder."""
    files = (_folder() / f"{_stem(name)}{ending}" for ending in ENDINGS)
    return next((file for file in files if file.is_file()), None)


def from_file(file: Path | None) -> dict[str, dict[str, object]]:
    """What has timm read published weights from a file; from where it likes, if there is none."""
    if file is None:
        return {}
    named: dict[str, object] = {"file": str(file)}
    if file.suffix in ENDINGS:  # a state dict, whatever form the authors published
        named["custom_load"] = False
    return {"pretrained_cfg_overlay": named}


def num_published_classes(name: str) -> int:
    """How many classes a network's published weights know.

    Raises:
        SettingError: there are none.
    """
    weights = weights_of(name)
    if not weights.has_weights:
        raise SettingError(f"distill.teacher_file must be given: timm has no weights of {name}")
    return int(weights.num_classes)


def colours(name: str) -> tuple[Colours, Colours]:
    """Mean and deviation of each channel by which a network's images were normalised."""
    weights = weights_of(name)
    return tuple(weights.mean), tuple(weights.std)


def cant_load(name: str, setting: str, error: Exception) -> SettingError:
    """What is wrong with the published weights of a network, in a line."""
    return SettingError(
        f"{setting}: the weights of {name} can't be loaded "
        f"({type(error).__name__}: {on_one_line(error)[:200]}); {how_to_put(name)}"
    )


def _folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _stem(name: str) -> str:
    weights = weights_of(name)
    return f"{weights.architecture}.{weights.tag}" if weights.tag else name.removeprefix(TIMM)


def how_to_put(name: str) -> str:
    """What puts a network's published weights onto this machine, in words."""
    weights = weights_of(name)
    source = f"https://huggingface.co/{weights.hf_hub_id}" if weights.hf_hub_id else weights.url
    return f"put model.safetensors of {source} at {_folder() / _stem(name)}.safetensors"
