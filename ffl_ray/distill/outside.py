"""Trained networks from outside, as teachers: exported models of ours, networks of torchvision."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.config.image_shapes import image_shape, num_classes
from ffl_ray.config.overrides import nearest
from ffl_ray.config.settings import DistillConfig, ResolvedConfig
from ffl_ray.data.dataset import DatasetInfo
from ffl_ray.data.folder import IMAGENET_MEAN, IMAGENET_STD
from ffl_ray.errors import ExportError, SettingError, on_one_line
from ffl_ray.exported.about import CONFIG, SAFETENSORS, About, parse_about
from ffl_ray.exported.member import load_member
from ffl_ray.models.builder import ImageShape
from ffl_ray.models.registry import LIBRARIES, TORCHVISION


def _torchvision() -> ModuleType:
    """The family of torchvision's networks, which takes 6 s to import: with torch's compiler."""
    return importlib.import_module(LIBRARIES[TORCHVISION])


class OfImageNet(nn.Module):
    """A network that was trained on ImageNet's normalised colours, given images in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1))

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        logits: Tensor = self.network((images - self.mean) / self.std)  # grey is three channels
        return logits


def check_outside(config: ResolvedConfig) -> None:
    """Check that a config's teacher is here, and classifies such images, as far as files say it.

    Raises:
        SettingError: it is not, or does not.
    """
    distill, name = config.distill, config.distill.teacher
    if name is None:
        return
    if name.startswith(TORCHVISION):
        known = _torchvision().names()
        if name not in known:
            raise SettingError(
                f"distill.teacher: torchvision's classification networks have no {name!r}"
                f"{nearest(name, known)}"
            )
        if distill.teacher_file is None:
            _check_published(name, num_classes(config.data))
    if not file_of(distill).is_file():
        raise SettingError(
            f"distill.teacher must be a folder that ffl_ray.export wrote, with {SAFETENSORS}, or "
            f"torchvision:NAME, and {file_of(distill)} is not there"
        )
    if not name.startswith(TORCHVISION):
        _check_about(_about(name), image_shape(config.data), num_classes(config.data))


def file_of(settings: DistillConfig) -> Path:
    """The file of a teacher's weights."""
    assert settings.teacher is not None, "there is a teacher"
    if not settings.teacher.startswith(TORCHVISION):
        return Path(settings.teacher) / SAFETENSORS
    if settings.teacher_file is not None:
        return Path(settings.teacher_file)
    file: Path = _torchvision().published_file(settings.teacher)
    return file


def opened(settings: DistillConfig, info: DatasetInfo, shape: ImageShape) -> nn.Module:
    """The teacher of the settings: from images in [0, 1] to logits of a data set's classes.

    Raises:
        SettingError: it can't be read, or classifies other images or classes.
    """
    assert settings.teacher is not None, "there is a teacher"
    if not settings.teacher.startswith(TORCHVISION):
        return _exported(settings.teacher, info, shape)
    file = None if settings.teacher_file is None else Path(settings.teacher_file)
    if file is None:
        _check_published(settings.teacher, len(info.classes))
    network = _torchvision().classifier(settings.teacher, len(info.classes), file)
    _check_runs(settings.teacher, network, (3, *shape[1:]))
    return OfImageNet(network)


def _exported(folder: str, info: DatasetInfo, shape: ImageShape) -> nn.Module:
    about = _about(folder)
    _check_about(about, shape, len(info.classes))
    if about.classes != info.classes:
        one, other = next(
            pair for pair in zip(about.classes, info.classes, strict=True) if len({*pair}) > 1
        )
        raise SettingError(
            f"distill.teacher must know the classes of the data in their order, and {folder} has "
            f"{one!r} where they have {other!r}"
        )
    try:
        return load_member(folder)
    except ExportError as error:
        raise SettingError(f"distill.teacher: {error}") from error


def _about(folder: str) -> About:
    place = Path(folder) / CONFIG
    try:
        return parse_about(place.read_bytes(), place)
    except (OSError, ExportError) as error:
        raise SettingError(f"distill.teacher: {on_one_line(error)}") from error


def _check_about(about: About, shape: ImageShape, classes: int | None) -> None:
    if about.image_shape != shape:
        raise SettingError(
            f"distill.teacher must take images of {_sides(shape)}, as the data are, and it takes "
            f"{_sides(about.image_shape)}"
        )
    if classes is not None and len(about.classes) != classes:
        raise SettingError(
            f"distill.teacher must know the {classes} classes of the data, not {len(about.classes)}"
        )


def _check_published(name: str, classes: int | None) -> None:
    _torchvision().check_here(name, "distill.teacher", "a teacher")
    known = _torchvision().num_published_classes(name)
    if classes is not None and classes != known:
        raise SettingError(
            f"distill.teacher must know the {classes} classes of the data, and the published "
            f"weights of {name} know {known}: give others as distill.teacher_file"
        )


def _check_runs(name: str, network: nn.Module, shape: ImageShape) -> None:
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise SettingError(
            f"distill.teacher must take images of {_sides(shape)}, as the data are, and {name} "
            f"does not ({on_one_line(error)[:200]})"
        ) from error


def _sides(shape: ImageShape) -> str:
    return " x ".join(map(str, shape))
