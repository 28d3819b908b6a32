"""Shapes and classes of the data sets, known by their settings alone, without opening any."""

from __future__ import annotations

from typing import Any

from ffl_ray.config.settings import DataConfig
from ffl_ray.config.user_code import OwnCode, is_own

FIXED_SHAPES = {"digits": (1, 8, 8), "cifar10": (3, 32, 32), "cifar100": (3, 32, 32)}
FIXED_CLASSES = {"digits": 10, "cifar10": 10, "cifar100": 100}


def image_shape(settings: DataConfig) -> tuple[int, int, int]:
    """Channels, height and width of the images.

    Raises:
        SettingError: a data set of the user's own can't be imported, or does not say.
    """
    if is_own(settings.name):
        channels, height, width = own_data(settings.name).image_shape
        return channels, height, width
    side = settings.image_size
    return FIXED_SHAPES.get(settings.name, (3, side, side))


def num_classes(settings: DataConfig) -> int | None:
    """The number of classes; None where that is in the files alone."""
    if is_own(settings.name):
        return len(own_data(settings.name).info.classes)
    return FIXED_CLASSES.get(settings.name)


def own_code(name: str) -> OwnCode:
    """A user's data set as messages name it."""
    return OwnCode("data.name", "a data set", "function", name)


def own_data(name: str) -> Any:
    """A user's function, which `ffl_ray.data.user_dataset.data_set` has told its shape and classes.

    Raises:
        SettingError: it can't be imported, or was told nothing.
    """
    own = own_code(name)
    function = own.load()
    if not hasattr(function, "image_shape") or not hasattr(function, "info"):
        raise own.broken(
            "it must be decorated by ffl_ray.data.user_dataset.data_set(image_shape, info)"
        )
    return function
