"""Shapes and classes of the data sets, known by their settings alone, without opening any."""

from __future__ import annotations

from typing import Any, Literal

from ffl_ray.config.settings import DataConfig
from ffl_ray.config.user_code import OwnCode, is_own
from ffl_ray.errors import SettingError

SIDES = {"digits": (8,), "cifar10": (32, 16, 8), "cifar100": (32, 16, 8)}
FOLDER_SIDE = 64
FIXED_CLASSES = {"digits": 10, "cifar10": 10, "cifar100": 100}


def brought_kind(name: str) -> Literal["hf", "wds"] | None:
    """Which form of brought data a data set's name says: hf:NAME or wds:SHARDS."""
    kind = name.partition(":")[0] if ":" in name else ""
    return "hf" if kind == "hf" else "wds" if kind == "wds" else None


def is_own_data(name: str) -> bool:
    """Whether a data set's name is code of the user's own."""
    return is_own(name) and brought_kind(name) is None


def has_files(settings: DataConfig) -> bool:
    """Whether the images lie in files; of a user's own data set only where they are streamed."""
    if is_own_data(settings.name):
        return settings.residency == "stream"
    return settings.name == "folder" or brought_kind(settings.name) is not None


def image_shape(settings: DataConfig) -> tuple[int, int, int]:
    """Channels, height and width of the images.

    Raises:
        SettingError: a data set of the user's own can't be imported, or does not say; or images of
            this one can't have the side that is set.
    """
    if is_own_data(settings.name):
        channels, height, width = own_data(settings.name).image_shape
        return channels, height, width
    side = image_side(settings)
    return 1 if settings.name == "digits" else 3, side, side


def image_side(settings: DataConfig) -> int:
    """The side of the images of a data set with a name, in pixels.

    Raises:
        SettingError: images of this data set can't have the side that is set.
    """
    sides = SIDES.get(settings.name)
    if settings.image_size is None:
        return sides[0] if sides else FOLDER_SIDE
    if sides and settings.image_size not in sides:
        raise SettingError(
            f"data.image_size must be {' or '.join(map(str, sides))} for data.name "
            f"{settings.name}, not {settings.image_size}"
        )
    return settings.image_size


def num_classes(settings: DataConfig) -> int | None:
    """The number of classes; None where that is in the files alone."""
    if is_own_data(settings.name):
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
