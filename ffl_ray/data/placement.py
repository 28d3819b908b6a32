"""Placement of images: decoded once and kept, or decoded anew for every epoch."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int64
from torch import Tensor

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import Files, Images
from ffl_ray.data.streaming.decoded import decoded_once
from ffl_ray.errors import SettingError

MEMORY_BYTES = 4 * 2**30


def streams(settings: DataConfig, num_images: int) -> bool:
    """Whether images of these settings are decoded from their files for every epoch.

    With `auto` an image folder is kept in memory when its decoded images take 4 GiB at most: 28
    thousand of 224x224, 350 thousand of 64x64. The rule looks at the settings and at the number
    of images, and not at the memory that this machine has free: streamed images are cropped
    otherwise, and a training must not depend on where it runs.

    Args:
        num_images: of the splits that are opened together.

    Raises:
        SettingError: the data set has no image files.
    """
    if settings.residency == "stream" and settings.name != "folder":
        raise SettingError(
            f"data.residency must be auto or memory when data.name is {settings.name}, not stream: "
            f"only the images of `folder` lie in files of their own"
        )
    if settings.residency != "auto" or settings.name != "folder":
        return settings.residency == "stream"
    return num_images * math.prod(image_shape(settings)) > MEMORY_BYTES


def placed(
    images: Images | Files,
    train: Int64[Tensor, "train"],
    val: Int64[Tensor, "val"],
    settings: DataConfig,
) -> tuple[Images | Files, Images | Files]:
    """The two splits where the settings want them: files are decoded, or stay files."""
    if streams(settings, len(train) + len(val)) or isinstance(images, Images):
        return images.take(train), images.take(val)
    both = decoded_once(images.take(torch.cat([train, val])))
    return (
        Images(both.pixels[: len(train)], both.labels[: len(train)]),
        Images(both.pixels[len(train) :], both.labels[len(train) :]),
    )
