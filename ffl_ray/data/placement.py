"""Placement of images: decoded once and kept, or decoded anew for every epoch."""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

from jaxtyping import Int64
from torch import Tensor

from ffl_ray.config.image_shapes import has_files, image_shape
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import Files, Images
from ffl_ray.data.streaming.decoded import decoded_once, scanned_once
from ffl_ray.data.streaming.scan import Scan, refuse_bad
from ffl_ray.errors import SettingError

MEMORY_BYTES = 4 * 2**30


def streams(settings: DataConfig, num_images: int, *, files: bool | None = None) -> bool:
    """Whether images of these settings are decoded from their files for every epoch.

    With `auto` image files are kept in memory when decoded they take 4 GiB at most: 28
    thousand of 224x224, 350 thousand of 64x64. The rule looks at the settings and at the number
    of images, and not at the memory that this machine has free: streamed images are cropped
    otherwise, and a training must not depend on where it runs.

    Args:
        num_images: of the splits that are opened together.
        files: whether they lie in files; none: as the settings have it, before any is opened.

    Raises:
        SettingError: the data set has no image files.
    """
    files = has_files(settings) if files is None else files
    if settings.residency == "stream" and not files:
        raise SettingError(
            f"data.residency must be auto or memory when data.name is {settings.name}, not stream: "
            f"its images do not lie in files"
        )
    if settings.residency != "auto" or not files:
        return settings.residency == "stream"
    return num_images * math.prod(image_shape(settings)) > MEMORY_BYTES


class Placed(NamedTuple):
    """Images where the settings want them: files are decoded, or stay files.

    Attributes:
        images: those that can be read.
        positions: of each in its data set.
        contents: of each class, a digest; none of files that were not read yet.
        skipped: files that can't be read, each with the reason.
    """

    images: Images | Files
    positions: Int64[Tensor, "images"]
    contents: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()


def placed(
    images: Images | Files, positions: Int64[Tensor, "images"], settings: DataConfig
) -> Placed:
    """The images at these positions where the settings want them.

    Raises:
        DataError: a file is not an image, and none is to be skipped.
    """
    stays = streams(settings, len(positions), files=isinstance(images, Files))
    if isinstance(images, Images):
        return Placed(images.take(positions), positions, _contents(images, positions))
    files = images.take(positions)
    if not stays:
        pixels, scan = decoded_once(files, skip_bad=settings.skip_bad_files)
        return _without_bad(pixels, scan, files, positions)
    if not settings.skip_bad_files:
        return Placed(files, positions, ())
    scan = scanned(files, settings)
    return _without_bad(files.only(scan.good(len(files))), scan, files, positions)


def scanned(files: Files, settings: DataConfig) -> Scan:
    """What a look at files finds; they stay files.

    Raises:
        DataError: a file is not an image, and none is to be skipped.
    """
    scan = scanned_once(files)
    refuse_bad(files, scan, skip_bad=settings.skip_bad_files)
    return scan


def _without_bad(
    kept: Images | Files, scan: Scan, files: Files, positions: Int64[Tensor, "images"]
) -> Placed:
    return Placed(kept, positions[scan.good(len(files))], scan.contents, scan.named(files))


def _contents(images: Images, positions: Int64[Tensor, "images"]) -> tuple[str, ...]:
    """Of each class, a digest of its images among these, in the order of the data set."""
    ordered = positions.sort().values
    labels = images.labels[ordered]
    return tuple(
        hashlib.sha256(images.pixels[ordered[labels == label]].numpy().data).hexdigest()[:16]
        for label in range(int(labels.max()) + 1 if len(labels) else 0)
    )
