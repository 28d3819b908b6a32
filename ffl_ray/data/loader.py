"""The loader of a data set's splits: train and val as the settings fix them, and test."""

from __future__ import annotations

import functools
from typing import NamedTuple

from jaxtyping import Int64
from torch import Tensor

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import DatasetInfo, Files, Images, Opened, dataset_module
from ffl_ray.data.placement import placed, streams
from ffl_ray.data.splits import split_hash, stratified_split
from ffl_ray.data.streaming.decoded import decoded
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
    """The train and val splits of a data set, which are all that a search may see."""

    train: Images | Files
    val: Images | Files
    info: DatasetInfo
    split_hash: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.train.image_shape


def load_train_val(settings: DataConfig) -> TrainVal:
    """The train and val splits that the settings fix; the test split stays closed.

    Kept for the last few settings of this process, so that the trials of one worker share it,
    however each of them augments.

    Raises:
        DataError: files are missing or damaged, or a split would be empty.
    """
    return _load(settings, final=False)


def load_final(settings: DataConfig) -> TrainVal:
    """Train and val together as the split to train on, and an empty val split.

    Raises:
        DataError: files are missing or damaged, or no image would be left.
    """
    return _load(settings, final=True)


def _load(settings: DataConfig, *, final: bool) -> TrainVal:
    if settings.name == "digits":
        settings = settings.model_copy(update={"dir": None, "image_size": 8})
    data = _load_splits(settings.model_copy(update=NOT_AUGMENTED), final)
    return data._replace(info=_with_settings(data.info, settings, data.train))


@functools.lru_cache(maxsize=2)
def _load_splits(settings: DataConfig, final: bool) -> TrainVal:
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
    return TrainVal(*placed(images, train, val, settings), info, split_hash(train, val))


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
