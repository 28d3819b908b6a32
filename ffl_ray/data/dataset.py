"""Data sets: what one is, and the registry of those with a name; others are the user's own."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from ffl_ray.config.image_shapes import brought_kind
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.augment import Fill
from ffl_ray.data.streaming.decode import middle_square
from ffl_ray.data.streaming.image_file import Part

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


Chosen = np.ndarray[tuple[int], np.dtype[np.int64]] | slice


class Packed(NamedTuple):
    """Places of images that are parts of larger files.

    Attributes:
        files: paths.
        places: of each image the number of its file, its first byte, and its bytes; with -1
            bytes the image is the whole file.
    """

    files: tuple[str, ...]
    places: np.ndarray[tuple[int, int], np.dtype[np.int64]]

    def take(self, chosen: Chosen) -> Packed:
        """The places at these positions."""
        return Packed(self.files, self.places[chosen])


class Files(NamedTuple):
    """Labelled image files of one split, not decoded; or parts of files.

    Attributes:
        folder: that holds them all.
        names: path of each inside the folder, as bytes: a million of them in one array. Of parts,
            `CLASS/` and what tells them apart.
        labels: class number of each.
        size: side of the squares that are made of them.
        packed: of parts, where they are.
    """

    folder: str
    names: np.ndarray[tuple[int], np.dtype[np.bytes_]]
    labels: Int64[Tensor, "images"]
    size: int
    packed: Packed | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Int64[Tensor, "taken"]) -> Files:
        """The files at these positions, in this order."""
        return self._at(indices.numpy(), self.labels[indices])

    def only(self, kept: Bool[Tensor, "images"]) -> Files:
        """The files that are kept."""
        return self.take(kept.nonzero().flatten())

    def part(self, first: int, end: int) -> Files:
        """The files from one position up to another."""
        return self._at(slice(first, end), self.labels[first:end])

    def _at(self, chosen: Chosen, labels: Int64[Tensor, "taken"]) -> Files:
        packed = self.packed and self.packed.take(chosen)
        return Files(self.folder, self.names[chosen], labels, self.size, packed)

    def beside(self, other: Files) -> Files:
        """These and others of the same data set."""
        packed = self.packed
        if packed is not None and other.packed is not None:
            places = np.concatenate([packed.places, other.packed.places])
            packed = Packed(packed.files, places)
        names = np.concatenate([self.names, other.names])
        labels = torch.cat([self.labels, other.labels])
        return Files(self.folder, names, labels, self.size, packed)

    def source(self, position: int) -> str | Part:
        """Where the image at a position is."""
        if self.packed is None:
            return self._path(position)
        number, first, size = self.packed.places[position].tolist()
        file = self.packed.files[number]
        return file if size < 0 else Part(file, first, size)

    def shown(self, position: int) -> str:
        """The image at a position, for a person: its path, or its name and the file it is in."""
        source = self.source(position)
        name = os.fsdecode(self.names[position])
        return f"{name} ({source})" if isinstance(source, Part) else source

    def stored(self) -> Iterator[tuple[bytes, str]]:
        """What tells one state of the files from another: names, and the files on disk."""
        if self.packed is None:
            yield from ((n, self._path(i)) for i, n in enumerate(self.names.tolist()))
            return
        yield from ((os.fsencode(file), file) for file in self.packed.files)
        parts = hashlib.sha256(self.packed.places.tobytes())
        parts.update(b"\n".join(self.names.tolist()))
        yield parts.digest(), self.packed.files[0]

    def _path(self, position: int) -> str:
        return os.path.join(self.folder, os.fsdecode(self.names[position]))  # noqa: PTH118

    @property
    def pixels(self) -> UInt8[Tensor, "images size size 3"]:
        """Their middle squares, decoded now: for a few of them."""
        squares = [middle_square(self.source(i), self.size) for i in range(len(self))]
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
BROUGHT = {"hf": "ffl_ray.data.hub", "wds": "ffl_ray.data.tar_shards"}
USERS = "ffl_ray.data.user_dataset"


def dataset_module(settings: DataConfig) -> DatasetModule:
    """The module that opens the data set named by the settings."""
    path = DATASETS.get(settings.name) or BROUGHT.get(brought_kind(settings.name) or "", USERS)
    module: DatasetModule = importlib.import_module(path)
    return module
