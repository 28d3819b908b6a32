"""Trained networks from outside, as teachers: exported models of ours, networks of libraries."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ffl_ray.config.image_shapes import image_shape, num_classes
from ffl_ray.config.settings import DistillConfig, ResolvedConfig
from ffl_ray.data.dataset import DatasetInfo
from ffl_ray.errors import ExportError, SettingError, on_one_line
from ffl_ray.exported.about import CONFIG, SAFETENSORS, About, parse_about
from ffl_ray.exported.member import load_member, read_weights
from ffl_ray.models.builder import ImageShape
from ffl_ray.models.colours import OfColours
from ffl_ray.models.registry import check_published_here, library_of


def check_outside(config: ResolvedConfig) -> None:
    """Check that a config's teacher is here, and classifies such images, as far as files say it.

    Raises:
        SettingError: it is not, or does not.
    """
    distill, name = config.distill, config.distill.teacher
    if name is None:
        return
    library = library_of(name)
    if library:
        library.check_name(name, "distill.teacher")
        if distill.teacher_file is None:
            _check_published(name, num_classes(config.data))
    if not file_of(distill).is_file():
        raise SettingError(
            f"distill.teacher must be a folder that ffl_ray.export wrote, with {SAFETENSORS}, "
            f"torchvision:NAME or timm:NAME, and {file_of(distill)} is not there"
        )
    if not library:
        _check_about(_about(name), image_shape(config.data), num_classes(config.data))


def file_of(settings: DistillConfig) -> Path:
    """The file of a teacher's weights."""
    assert settings.teacher is not None, "there is a teacher"
    if settings.teacher_file is not None:
        return Path(settings.teacher_file)
    library = library_of(settings.teacher)
    if not library:
        return Path(settings.teacher) / SAFETENSORS
    file: Path = library.published_file(settings.teacher)
    return file


def opened(settings: DistillConfig, info: DatasetInfo, shape: ImageShape) -> nn.Module:
    """The teacher of the settings: from images in [0, 1] to logits of a data set's classes.

    Raises:
        SettingError: it can't be read, or classifies other images or classes.
    """
    assert settings.teacher is not None, "there is a teacher"
    library = library_of(settings.teacher)
    if not library:
        return _exported(settings.teacher, info, shape)
    if settings.teacher_file is None:
        _check_published(settings.teacher, len(info.classes))
        network: nn.Module = library.published(settings.teacher)
    else:
        network = library.untrained(settings.teacher, len(info.classes))
        _load(network, Path(settings.teacher_file), settings.teacher, len(info.classes))
    _check_runs(settings.teacher, network, (3, *shape[1:]))
    return OfColours(network, *library.colours(settings.teacher))


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
    library = library_of(name)
    known = library.num_published_classes(name)
    check_published_here(name, "distill.teacher", "a teacher downloads none")
    if classes is not None and classes != known:
        raise SettingError(
            f"distill.teacher must know the {classes} classes of the data, and the published "
            f"weights of {name} know {known}: give others as distill.teacher_file"
        )


def _load(network: nn.Module, file: Path, name: str, classes: int) -> None:
    try:
        network.load_state_dict(read_weights(file))
    except Exception as error:
        raise SettingError(
            f"distill.teacher_file: {file} must hold a state dict of {name} with {classes} "
            f"classes ({type(error).__name__}: {on_one_line(error)[:300]})"
        ) from error


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
