"""The user's own data sets: `module:function` as data.name, such as `my_data:blobs`.

The contract: `function(settings, split)`, decorated by `data_set`, returns the `Images` of a split,
or its `Files`, which are decoded as those of an image folder are, and may be streamed:

- settings: the study's `DataConfig`, of which settings.dir may say where files are;
- split: "train", all that may be trained on and validated with, or "test", which only a confirmed
  result is measured on (a search never asks for it);
- pixels: uint8 [images, height, width, channels], 0 to 255; labels: int64 [images], class numbers;
- of files: their names as an array of bytes, and the side of the squares that are made of them.

The same call gives the same images, in the same order: the split into train and val relies on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from ffl_ray.config.image_shapes import own_data
from ffl_ray.config.settings import DataConfig
from ffl_ray.config.user_code import kind_of, one_line
from ffl_ray.data.dataset import DatasetInfo, Files, Images, Opened
from ffl_ray.errors import DataError, SettingError

SplitName = Literal["train", "test"]
Opening = Callable[[DataConfig, SplitName], Images | Files]
OpeningT = TypeVar("OpeningT", bound=Opening)


def data_set(
    image_shape: tuple[int, int, int], info: DatasetInfo
) -> Callable[[OpeningT], OpeningT]:
    """Say of a function what must be known of its images before any is opened.

    Args:
        image_shape: channels, height and width.
        info: classes; mean and std of each channel, of pixels in [0, 1]; how they are augmented.

    Raises:
        SettingError: the shape is none, there is no choice of classes, or a channel lacks a mean.
    """
    if len(image_shape) != 3 or not all(isinstance(n, int) and n > 0 for n in image_shape):
        raise SettingError(f"image_shape must be channels, height and width, not {image_shape!r}")
    if len(set(info.classes)) < max(2, len(info.classes)):
        raise SettingError(f"classes must be two different names or more, not {info.classes!r}")
    if not len(info.mean) == len(info.std) == image_shape[0] or min(info.std) <= 0:
        raise SettingError(
            f"mean and std must have a number for each of {image_shape[0]} channels, std above 0, "
            f"not {info.mean!r} and {info.std!r}"
        )

    def told(function: OpeningT) -> OpeningT:
        vars(function).update(image_shape=tuple(image_shape), info=info)
        return function

    return told


def open_train(settings: DataConfig) -> Opened:
    """The user's images to train on and validate with.

    Raises:
        DataError: the function fails, or breaks the contract.
    """
    return _opened(settings, "train")


def find_test(settings: DataConfig) -> None:
    """No check: only the function knows whether there is a test split, when it is opened."""


def open_test(settings: DataConfig) -> Opened:
    """The user's test images; raises as `open_train` does."""
    return _opened(settings, "test")


def _opened(settings: DataConfig, split: SplitName) -> Opened:
    function = own_data(settings.name)
    try:
        images = function(settings, split)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"data.name: {settings.name}: asked for {split!r}, it fails: {one_line(error)}"
        ) from error
    if not isinstance(images, Images | Files):
        rule = "it must return ffl_ray.data.dataset.Images, or Files"
        raise DataError(f"data.name: {settings.name}: {rule}, not {kind_of(images)}")
    broken = _broken(images, function.image_shape, len(function.info.classes))
    if broken:
        raise DataError(f"data.name: {settings.name}: of {split!r}, {broken}")
    if isinstance(images, Files):
        return Opened(images, function.info)
    return Opened(Images(images.pixels.contiguous(), images.labels), function.info)


def _broken(images: Images | Files, shape: tuple[int, int, int], num_classes: int) -> str:
    """How images break the contract; nothing when they keep it."""
    if isinstance(images, Files):
        wrong, count = _broken_names(images, shape), len(images.names)
    else:
        wrong, count = _broken_pixels(images, shape), len(images.pixels)
    return wrong or _broken_labels(images.labels, num_classes, count)


def _broken_names(files: Files, shape: tuple[int, int, int]) -> str:
    names, size = files.names, files.size
    if shape != (3, size, size):
        return f"files of size {size} must have the image_shape (3, {size}, {size}), not {shape}"
    if not isinstance(names, np.ndarray) or names.dtype.kind != "S" or names.ndim != 1:
        return f"names must be an array of bytes, not {getattr(names, 'dtype', kind_of(names))}"
    return "" if len(names) else "names must hold one image or more"


def _broken_pixels(images: Images, shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    pixels = images.pixels
    rule = f"pixels must be uint8 [images, {height}, {width}, {channels}]"
    if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8:
        return f"{rule}, not {getattr(pixels, 'dtype', kind_of(pixels))}"
    if tuple(pixels.shape[1:]) != (height, width, channels) or not len(pixels):
        return f"{rule}, not {list(pixels.shape)}"
    return ""


def _broken_labels(labels: object, num_classes: int, count: int) -> str:
    rule = f"labels must be int64 [{count}] from 0 to {num_classes - 1}"
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        return f"{rule}, not {getattr(labels, 'dtype', kind_of(labels))}"
    if tuple(labels.shape) != (count,):
        return f"{rule}, not {list(labels.shape)}"
    if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
        return f"{rule}, not from {int(labels.min())} to {int(labels.max())}"
    return ""
