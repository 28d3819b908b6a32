"""What a data set is, and the table of those that are known by name."""

from __future__ import annotations

import importlib
from typing import NamedTuple, Protocol

from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ffl_ray.config import DataConfig

Labels = Int64[Tensor, "batch"] | Float[Tensor, "batch classes"]
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


class DatasetInfo(NamedTuple):
    """What a network and its augmentation must know of a data set.

    mean and std are per channel, of pixels scaled to [0, 1]; crop_padding is in pixels.
    """

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int
    flip: bool


class Opened(NamedTuple):
    """A split together with what is known of its data set."""

    images: Images
    info: DatasetInfo


class DatasetModule(Protocol):
    """What a file of this folder offers for each data set."""

    def open_train(self, settings: DataConfig) -> Opened:
        """All images that may be trained on or selected by."""
        ...

    def find_test(self, settings: DataConfig) -> None:
        """Raise DataError when there is no test split; nothing of it is read."""
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


FIXED_SHAPES = {"digits": (1, 8, 8), "cifar10": (3, 32, 32), "cifar100": (3, 32, 32)}
FIXED_CLASSES = {"digits": 10, "cifar10": 10, "cifar100": 100}


def image_shape(settings: DataConfig) -> tuple[int, int, int]:
    """Channels, height and width of the images, known without opening them."""
    side = settings.image_size
    return FIXED_SHAPES.get(settings.name, (3, side, side))


def dataset_module(settings: DataConfig) -> DatasetModule:
    """The module that opens the data set named by the settings."""
    module: DatasetModule = importlib.import_module(DATASETS[settings.name])
    return module
