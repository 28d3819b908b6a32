"""The train and val parts of a data set, and their batches on the device."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ffl_ray.config.settings import DataConfig, Mixing
from ffl_ray.data.augment import Draws, crop_and_flip, draw, normalise
from ffl_ray.data.dataset import DatasetInfo, Files, Images, Labels, Opened, dataset_module
from ffl_ray.data.mixing import Mix, draw_mixes, mix_images, mix_labels
from ffl_ray.data.placement import placed, streams
from ffl_ray.data.seeds import draw_seeds
from ffl_ray.data.shards import Shard, part_of, partner_of, steps_of
from ffl_ray.data.splits import split_hash, stratified_split
from ffl_ray.data.streaming.decoded import decoded
from ffl_ray.data.trivial_augment import trivial_augment
from ffl_ray.errors import DataError, NoTestSplitError, SettingError

NOT_AUGMENTED = {
    name: DataConfig.model_fields[name].default
    for name in (
        "augment",
        "crop_padding",
        "flip",
        "mixing",
        "mixing_alpha",
        "num_loader_processes",
    )
}


class TrainVal(NamedTuple):
    """What a search may see of a data set."""

    train: Images | Files
    val: Images | Files
    info: DatasetInfo
    split_hash: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.train.image_shape


class Batch(NamedTuple):
    """One worker's share of a step; its labels are class numbers unless images are mixed.

    Where every branch sees a view of its own, images have the views as their first dimension.
    """

    images: Float[Tensor, "*views batch channels height width"]
    labels: Labels
    global_size: int


class Augmentation(NamedTuple):
    """What training images go through after the data set's crop and flip."""

    trivial: bool = False
    mixing: Mixing = "none"
    mixing_alpha: float = 1.0

    def mixes(
        self, steps: int, height: int, width: int, generator: torch.Generator
    ) -> list[Mix] | None:
        """How each step's images are mixed; None, and nothing drawn, where they are not."""
        if self.mixing == "none":
            return None
        return draw_mixes(
            steps,
            mixing=self.mixing,
            alpha=self.mixing_alpha,
            height=height,
            width=width,
            generator=generator,
        )


def load_train_val(settings: DataConfig) -> TrainVal:
    """The train and val parts that the settings fix; the test split stays closed.

    Kept for the last few settings of this process, so that the trials of one worker share it,
    however each of them augments.

    Raises:
        DataError: files are missing or damaged, or a part would be empty.
    """
    return _load(settings, final=False)


def load_final(settings: DataConfig) -> TrainVal:
    """Train and val together as the part to train on, and an empty val part.

    Raises:
        DataError: files are missing or damaged, or no image would be left.
    """
    return _load(settings, final=True)


def _load(settings: DataConfig, *, final: bool) -> TrainVal:
    if settings.name == "digits":
        settings = settings.model_copy(update={"dir": None, "image_size": 8})
    data = _load_parts(settings.model_copy(update=NOT_AUGMENTED), final)
    return data._replace(info=_with_settings(data.info, settings, data.train))


@functools.lru_cache(maxsize=2)
def _load_parts(settings: DataConfig, final: bool) -> TrainVal:
    images, info = dataset_module(settings).open_train(settings)
    used = stratified_split(images.labels, settings.fraction, settings.split_seed).held_out
    if final:
        return _all_to_train(images, used, info, settings)
    inner = stratified_split(images.labels[used], settings.val_fraction, settings.split_seed + 1)
    train, val = used[inner.rest], used[inner.held_out]
    if not len(train) or not len(val):
        raise DataError(
            f"data.fraction and data.val_fraction must leave images in both parts; "
            f"{settings.fraction} and {settings.val_fraction} of {len(images)} images leave "
            f"{len(train)} to train and {len(val)} to validate"
        )
    parts = placed(images, train, val, settings)
    return TrainVal(*parts, info, split_hash(train, val))


def _all_to_train(
    images: Images | Files, used: Int64[Tensor, "used"], info: DatasetInfo, settings: DataConfig
) -> TrainVal:
    if not len(used):
        raise DataError(
            f"data.fraction must leave images to train on; {settings.fraction} of {len(images)} "
            f"images leaves none"
        )
    none = used[:0]
    return TrainVal(*placed(images, used, none, settings), info, split_hash(used, none))


def check_test(settings: DataConfig) -> None:
    """Check that there is a test split, without opening it.

    Raises:
        NoTestSplitError: there is none.
    """
    try:
        dataset_module(settings).find_test(settings)
    except DataError as error:
        raise NoTestSplitError(f"there is no test split: {error}") from error


def open_test(settings: DataConfig) -> Opened:
    """The test split: for confirming a finished choice, never for making one.

    Raises:
        NoTestSplitError: it is missing or damaged.
    """
    try:
        images, info = dataset_module(settings).open_test(settings)
        if isinstance(images, Files) and not streams(settings, len(images)):
            images = decoded(images)
        return Opened(images, info)
    except (DataError, OSError) as error:
        raise NoTestSplitError(f"the test split can't be opened: {error}") from error


def _with_settings(info: DatasetInfo, settings: DataConfig, images: Images | Files) -> DatasetInfo:
    standard = settings.augment != "none"
    flip = (info.flip if settings.flip is None else settings.flip) and standard
    if isinstance(images, Files):
        if settings.crop_padding is not None:
            raise SettingError(
                f"data.crop_padding must be none where images are streamed (data.residency), not "
                f"{settings.crop_padding}: a random part of each file is taken"
            )
        return info._replace(crop_padding=0, flip=flip, random_crop=standard)
    padding = info.crop_padding if settings.crop_padding is None else settings.crop_padding
    smallest = min(images.pixels.shape[1:3])
    if padding >= smallest:
        raise SettingError(
            f"data.crop_padding must be less than the images' side {smallest}, not {padding}"
        )
    return info._replace(crop_padding=padding if standard else 0, flip=flip)


def augmentation_of(settings: DataConfig) -> Augmentation:
    """The settings' augmentation, beside crop and flip."""
    return Augmentation(settings.augment == "trivial", settings.mixing, settings.mixing_alpha)


class _View(NamedTuple):
    """The random numbers of one augmentation of every image, in the epoch's order."""

    draws: Draws
    seeds: list[int] | None


class _Epoch(NamedTuple):
    """All random numbers of an epoch: of each position in its order, and of each batch."""

    order: Int64[Tensor, "images"]
    views: list[_View]
    mixes: list[Mix] | None


class DeviceImages:
    """Images of one part, resident on a device, served as normalised batches."""

    def __init__(self, images: Images, info: DatasetInfo, device: torch.device) -> None:
        self.images = Images(images.pixels.to(device), images.labels.to(device))
        self.info = info
        self.device = device
        self.mean = torch.tensor(info.mean, device=device)
        self.std = torch.tensor(info.std, device=device)

    def train_batches(
        self,
        *,
        batch_size: int,
        seed: int,
        epoch: int,
        first_step: int = 0,
        shard: Shard = Shard(),
        augmentation: Augmentation = Augmentation(),
        num_views: int = 1,
    ) -> Iterator[Batch]:
        """One epoch in random order, augmented.

        Order and augmentation depend on seed and epoch alone: any number of workers sees the
        same global batches, and an epoch can be repeated by itself. The last batch is kept
        unless it leaves a worker fewer than two images, which batch norm can't take. An image
        that is mixed has the next one of the global batch as its partner, the last one the
        first: the order is random already (torchvision's MixUp and CutMix pair the same way).

        Args:
            batch_size: images per step over all workers.
            epoch: epochs finished so far.
            first_step: steps of the epoch that are done already and left out.
            num_views: augmentations of each image, the first of them the same whatever their
                number; they share their mixing, since they share their labels.
        """
        count = len(self.images)
        drawn = self._draw(batch_size, seed * 1_000_003 + epoch, augmentation, num_views)
        for step, start, size in steps_of(count, batch_size, shard, first_step):
            part = part_of(start, size, shard)
            views = [self._view(drawn, view, step, start, size, part) for view in drawn.views]
            labels = self.images.labels[drawn.order[part]]
            if drawn.mixes is not None:
                partner = drawn.order[partner_of(part, start, size)]
                partners = torch.cat([labels[1:], self.images.labels[partner]])
                labels = mix_labels(labels, partners, drawn.mixes[step], len(self.info.classes))
            yield Batch(views[0] if num_views == 1 else torch.stack(views), labels, size)

    def eval_batches(self, *, batch_size: int, shard: Shard = Shard()) -> Iterator[Batch]:
        """The shard's share of all images once, in order, not augmented."""
        count = len(self.images)
        for start in range(0, count, batch_size):
            size = min(batch_size, count - start)
            part = part_of(start, size, shard)
            if part.start == part.stop:
                continue
            pixels = normalise(self.images.pixels[part], self.mean, self.std)
            yield Batch(pixels, self.images.labels[part], size)

    def _draw(
        self, batch_size: int, seed: int, augmentation: Augmentation, num_views: int
    ) -> _Epoch:
        count, height, width, _ = self.images.pixels.shape
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(count, generator=generator).to(self.device)
        views = [self._draw_view(augmentation, generator)]
        mixes = augmentation.mixes(math.ceil(count / batch_size), height, width, generator)
        views += [self._draw_view(augmentation, generator) for _ in range(num_views - 1)]
        return _Epoch(order, views, mixes)

    def _draw_view(self, augmentation: Augmentation, generator: torch.Generator) -> _View:
        count = len(self.images)
        draws = draw(
            count, padding=self.info.crop_padding, flip=self.info.flip, generator=generator
        )
        seeds = draw_seeds(count, generator) if augmentation.trivial else None
        return _View(draws.to(self.device), seeds)

    def _view(
        self, drawn: _Epoch, view: _View, step: int, start: int, size: int, part: slice
    ) -> Float[Tensor, "batch channels height width"]:
        """One view of a worker's part of a step, mixed if images are."""
        images = self._augmented(drawn.order, view, part)
        if drawn.mixes is None:
            return images
        partner = self._augmented(drawn.order, view, partner_of(part, start, size))
        return mix_images(images, torch.cat([images[1:], partner]), drawn.mixes[step])

    def _augmented(
        self, order: Int64[Tensor, "images"], view: _View, part: slice
    ) -> Float[Tensor, "batch channels height width"]:
        """The images at some positions of the epoch's order."""
        pixels = crop_and_flip(self.images.pixels, order[part], view.draws.take(part))
        if view.seeds is not None:
            pixels = trivial_augment(pixels, view.seeds[part])
        return normalise(pixels, self.mean, self.std)
