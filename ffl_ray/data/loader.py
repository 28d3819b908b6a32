"""The train and val parts of a data set, and their batches on the device."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ffl_ray.config import DataConfig
from ffl_ray.data.augment import crop_and_flip, draw, normalise
from ffl_ray.data.dataset import DatasetInfo, Images, Opened, dataset_module
from ffl_ray.data.splits import split_hash, stratified_split
from ffl_ray.errors import DataError, SettingError


class TrainVal(NamedTuple):
    """What a search may see of a data set."""

    train: Images
    val: Images
    info: DatasetInfo
    split_hash: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, height, width, channels = self.train.pixels.shape
        return channels, height, width


class Batch(NamedTuple):
    """One worker's share of a step."""

    images: Float[Tensor, "batch channels height width"]
    labels: Int64[Tensor, "batch"]
    global_size: int


class Shard(NamedTuple):
    """Which worker of how many."""

    rank: int = 0
    world_size: int = 1


def load_train_val(settings: DataConfig) -> TrainVal:
    """The train and val parts that the settings fix; the test split stays closed.

    Kept for the last few settings of this process, so that the trials of one worker share it.

    Raises:
        DataError: files are missing or damaged, or a part would be empty.
    """
    if settings.name == "digits":
        settings = settings.model_copy(update={"dir": None, "image_size": 8})
    return _load_train_val(settings)


@functools.lru_cache(maxsize=2)
def _load_train_val(settings: DataConfig) -> TrainVal:
    images, info = dataset_module(settings).open_train(settings)
    used = stratified_split(images.labels, settings.fraction, settings.split_seed).held_out
    inner = stratified_split(images.labels[used], settings.val_fraction, settings.split_seed + 1)
    train, val = used[inner.rest], used[inner.held_out]
    if not len(train) or not len(val):
        raise DataError(
            f"data.fraction and data.val_fraction must leave images in both parts; "
            f"{settings.fraction} and {settings.val_fraction} of {len(images)} images leave "
            f"{len(train)} to train and {len(val)} to validate"
        )
    info = _with_settings(info, settings, images)
    return TrainVal(images.take(train), images.take(val), info, split_hash(train, val))


def open_test(settings: DataConfig) -> Opened:
    """The test split: for confirming a finished choice, never for making one."""
    return dataset_module(settings).open_test(settings)


def _with_settings(info: DatasetInfo, settings: DataConfig, images: Images) -> DatasetInfo:
    standard = settings.augment == "standard"
    padding = info.crop_padding if settings.crop_padding is None else settings.crop_padding
    flip = info.flip if settings.flip is None else settings.flip
    smallest = min(images.pixels.shape[1:3])
    if padding >= smallest:
        raise SettingError(
            f"data.crop_padding must be less than the images' side {smallest}, not {padding}"
        )
    return info._replace(crop_padding=padding if standard else 0, flip=flip and standard)


class DeviceImages:
    """Images of one part, resident on a device, served as normalised batches."""

    def __init__(self, images: Images, info: DatasetInfo, device: torch.device) -> None:
        self.images = Images(images.pixels.to(device), images.labels.to(device))
        self.info = info
        self.device = device
        self.mean = torch.tensor(info.mean, device=device)
        self.std = torch.tensor(info.std, device=device)

    def train_batches(
        self, *, batch_size: int, seed: int, epoch: int, shard: Shard = Shard()
    ) -> Iterator[Batch]:
        """One epoch in random order, augmented.

        Order, crops and flips depend on seed and epoch alone: any number of workers sees the
        same global batches, and an epoch can be repeated by itself. The last batch is kept
        unless it leaves a worker fewer than two images, which batch norm can't take.

        Args:
            batch_size: images per step over all workers.
            epoch: epochs finished so far.
        """
        count = len(self.images)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(count, generator=generator).to(self.device)
        draws = draw(
            count, padding=self.info.crop_padding, flip=self.info.flip, generator=generator
        ).to(self.device)
        for start in range(0, count, batch_size):
            size = min(batch_size, count - start)
            if size < 2 * shard.world_size:
                return
            part = _part(start, size, shard)
            pixels = crop_and_flip(self.images.pixels, order[part], draws.take(part))
            labels = self.images.labels[order[part]]
            yield Batch(normalise(pixels, self.mean, self.std), labels, size)

    def eval_batches(self, *, batch_size: int, shard: Shard = Shard()) -> Iterator[Batch]:
        """The shard's share of all images once, in order, not augmented."""
        count = len(self.images)
        for start in range(0, count, batch_size):
            size = min(batch_size, count - start)
            part = _part(start, size, shard)
            if part.start == part.stop:
                continue
            pixels = normalise(self.images.pixels[part], self.mean, self.std)
            yield Batch(pixels, self.images.labels[part], size)


def _part(start: int, size: int, shard: Shard) -> slice:
    """The rank's even share of `size` positions from `start`."""
    first = start + size * shard.rank // shard.world_size
    last = start + size * (shard.rank + 1) // shard.world_size
    return slice(first, last)
