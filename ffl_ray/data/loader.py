"""The loader of a data set's splits: train and val as the settings fix them, and test."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import DatasetInfo, Files, Images, Opened, dataset_module
from ffl_ray.data.facts import DataFacts
from ffl_ray.data.placement import placed, scanned, streams
from ffl_ray.data.splits import Split, split_hash, stratified_split
from ffl_ray.data.streaming.decoded import decoded
from ffl_ray.errors import DataError, NoTestSplitError, SettingError

NOT_AUGMENTED = {
    name: DataConfig.model_fields[name].default
    for name in (
        "augment",
        "crop_padding",
        "crop_fill",
        "flip",
        "mixing",
        "mixing_alpha",
        "num_loader_processes",
        "images_per_class",
    )
}


class TrainVal(NamedTuple):
    """The train and val splits of a data set, which are all that a search may see."""

    train: Images | Files
    val: Images | Files
    info: DatasetInfo
    facts: DataFacts

    @property
    def split_hash(self) -> str:
        """The name of the split."""
        return self.facts.split_hash

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
        settings = settings.model_copy(update={"dir": None, "image_size": None})
    data = _load_splits(DataConfig(**dict(settings) | NOT_AUGMENTED), final)
    return data._replace(info=_with_settings(data.info, settings, data.train))


@functools.lru_cache(maxsize=2)
def _load_splits(settings: DataConfig, final: bool) -> TrainVal:
    opened = dataset_module(settings).open_train(settings)
    split = _split(opened.images, settings, final=final)
    both = placed(opened.images, torch.cat(split), settings)
    num_train = int(torch.isin(both.positions, split.rest).sum())
    facts = DataFacts(
        split_hash=split_hash(both.positions[:num_train], both.positions[num_train:]),
        num_train=num_train,
        num_val=len(both.positions) - num_train,
        num_classes=len(opened.info.classes),
        classes=opened.info.classes,
        counts=opened.class_counts,
        contents=both.contents,
        skipped=both.skipped,
    )
    _check_sizes(opened, facts, settings, final=final)
    parts = both.images.part(0, num_train), both.images.part(num_train, len(both.images))
    return TrainVal(*parts, opened.info, facts)


def _split(images: Images | Files, settings: DataConfig, *, final: bool) -> Split:
    """The positions to train on and to validate with."""
    used = stratified_split(images.labels, settings.fraction, settings.split_seed).held_out
    if final:
        return Split(used, used[:0])
    inner = stratified_split(images.labels[used], settings.val_fraction, settings.split_seed + 1)
    return Split(used[inner.rest], used[inner.held_out])


def _check_sizes(opened: Opened, facts: DataFacts, settings: DataConfig, *, final: bool) -> None:
    count = len(opened.images)
    if final and not facts.num_train:
        raise DataError(
            f"data.fraction must leave images to train on; {settings.fraction} of {count} "
            f"images leaves none"
        )
    if not final and not (facts.num_train and facts.num_val):
        raise DataError(
            f"data.fraction and data.val_fraction must leave images in both parts; "
            f"{settings.fraction} and {settings.val_fraction} of {count} images leave "
            f"{facts.num_train} to train and {facts.num_val} to validate"
        )


def read_all(settings: DataConfig, data: TrainVal) -> DataFacts:
    """The facts of data, with the contents also of files that are streamed: each is read once.

    Raises:
        DataError: a file is not an image, and none is to be skipped.
    """
    if data.facts.contents or not isinstance(data.train, Files) or not isinstance(data.val, Files):
        return data.facts
    scan = scanned(data.train.beside(data.val), settings)
    return data.facts._replace(contents=scan.contents)


def read_test(settings: DataConfig, facts: DataFacts) -> DataFacts:
    """The facts of a final training's data: what is there to test on is listed, and can be read.

    Nothing is measured on it; a data set without image files is not even opened.

    Raises:
        NoTestSplitError: there is none, or it can't be used.
    """
    try:
        test = dataset_module(settings).find_test(settings)
        if test is None or not isinstance(test.images, Files):
            return facts
        scan = scanned(test.images, settings)
    except DataError as error:
        raise NoTestSplitError(f"there is no test split: {error}") from error
    return facts._replace(
        test_counts=test.class_counts,
        test_contents=scan.contents,
        test_skipped=scan.named(test.images),
    )


def open_test(settings: DataConfig) -> Opened:
    """The test split: for confirming a finished choice, never for making one.

    Raises:
        NoTestSplitError: it is missing or damaged.
    """
    try:
        opened = dataset_module(settings).open_test(settings)
        images = opened.images
        if isinstance(images, Files):
            if not streams(settings, len(images), files=True):
                return opened._replace(images=decoded(images, skip_bad=settings.skip_bad_files)[0])
            if settings.skip_bad_files:
                images = images.only(scanned(images, settings).good(len(images)))
                return opened._replace(images=images)
        return opened
    except (DataError, OSError) as error:
        raise NoTestSplitError(f"the test split can't be opened: {error}") from error


def _with_settings(info: DatasetInfo, settings: DataConfig, images: Images | Files) -> DatasetInfo:
    standard = settings.augment != "none"
    flip = (info.flip if settings.flip is None else settings.flip) and standard
    if isinstance(images, Files):
        for name in ("crop_padding", "crop_fill"):
            if (value := getattr(settings, name)) is not None:
                raise SettingError(
                    f"data.{name} must be none where images are streamed (data.residency), not "
                    f"{value}: a random part of each file is taken"
                )
        return info._replace(crop_padding=0, flip=flip, random_crop=standard)
    padding = info.crop_padding if settings.crop_padding is None else settings.crop_padding
    smallest = min(images.pixels.shape[1:3])
    if padding >= smallest:
        raise SettingError(
            f"data.crop_padding must be less than the images' side {smallest}, not {padding}"
        )
    return info._replace(
        crop_padding=padding if standard else 0,
        crop_fill=settings.crop_fill or info.crop_fill,
        flip=flip,
    )
