"""Data sets: what one is, and the registry of those with a name; others are the user's own."""

from __future__ import annotations

import importlib
import os
from typing import NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.augment import Fill
from ffl_ray.data.streaming.decode import middle_square

Labels = Int64[Tensor, "*branches batch"] | Float[Tensor, "*branches batch classes"]
"""Class numbers, or class probabilities where images are mixed: F.cross_entropy takes both."""


class Images(NamedTuple):
    """Labelled images of one split, one byte per pixel and channel."""

    pixels: UInt8[Tensor, "images height width channels"]
    labels: Int64[Tensor, "images"]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Int64[Tensor, "taken"]) -> Images:
        """The images at these positions, in this order."""
        return Images(self.pixels[indices], self.labels[indices])

    def part(self, first: int, end: int) -> Images:
        """The images from one position up to another."""
        return Images(self.pixels[first:end], self.labels[first:end])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, height, width, channels = self.pixels.shape
        return channels, height, width


class Files(NamedTuple):
    """Labelled image files of one split, not decoded.

    Attributes:
        folder: that holds them all.
        names: path of each inside the folder, as bytes: a million of them in one array.
        labels: class number of each.
        size: side of the squares that are made of them.
    """

    folder: str
    names: np.ndarray[tuple[int], np.dtype[np.bytes_]]
    labels: Int64[Tensor, "images"]
    size: int

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Int64[Tensor, "taken"]) -> Files:
        """The files at these positions, in this order."""
        names = self.names[indices.numpy()]
        return Files(self.folder, names, self.labels[indices], self.size)

    def only(self, kept: Bool[Tensor, "images"]) -> Files:
        """The files that are kept."""
        return self.take(kept.nonzero().flatten())

    def part(self, first: int, end: int) -> Files:
        """The files from one position up to another."""
        return Files(self.folder, self.names[first:end], self.labels[first:end], self.size)

    def path(self, position: int) -> str:
        """Where the file at a position lies."""
        return os.path.join(self.folder, os.fsdecode(self.names[position]))  # noqa: PTH118

    @property
    def pixels(self) -> UInt8[Tensor, "images size size 3"]:
        """Their middle squares, decoded now: for a few of them."""
        squares = [middle_square(self.path(i), self.size) for i in range(len(self))]
        return torch.from_numpy(np.stack(squares))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return 3, self.size, self.size


class DatasetInfo(NamedTuple):
    """Facts of a data set that a network and its augmentation must know.

    mean and std are per channel, of pixels scaled to [0, 1]; crop_padding is in pixels, and
    crop_fill is what it holds. With random_crop an image is a random part of its file, resized.
    """

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int
    flip: bool
    random_crop: bool = False
    crop_fill: Fill = "reflect"


class Opened(NamedTuple):
    """A split, opened, together with the facts of its data set.

    Attributes:
        counts: images of each class in the folder that it is a part of; none: it is all there is.
    """

    images: Images | Files
    info: DatasetInfo
    counts: tuple[int, ...] = ()

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Images of each class that there are."""
        num_classes = len(self.info.classes)
        found = torch.bincount(self.images.labels, minlength=num_classes).tolist()
        return self.counts or tuple(found)


class DatasetModule(Protocol):
    """The module of a data set, a file of this folder: how its splits are opened."""

    def open_train(self, settings: DataConfig) -> Opened:
        """All images that may be trained on or selected by."""
        ...

    def find_test(self, settings: DataConfig) -> Opened | None:
        """The test split where listing it opens no image; raises DataError when there is none."""
        ...

    def open_test(self, settings: DataConfig) -> Opened:
        """The images that only a confirmed result is measured on."""
        ...


DATASETS = {
    "digits": "ffl_ray.data.digits",
    "cifar10": "ffl_ray.data.cifar",
    "cifar100": "ffl_ray.data.cifar",
    "folder": "ffl_ray.data.folder",
}


def dataset_module(settings: DataConfig) -> DatasetModule:
    """The module that opens the data set named by the settings."""
    module: DatasetModule = importlib.import_module(
        DATASETS.get(settings.name, "ffl_ray.data.user_dataset")
    )
    return module
