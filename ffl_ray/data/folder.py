"""Any image folder in the ImageFolder layout: its index, read without opening an image.

`data.dir` holds either `train/CLASS/*.jpg` and, for the test split, `test/CLASS/*.jpg` (or
`val/`, ImageNet's name for the split with public labels); or the class folders themselves, of
which a fifth of every class is then set aside as the test split by a seed that is no setting.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from ffl_ray.config.image_shapes import image_side
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import DatasetInfo, Files, Opened
from ffl_ray.data.held_back import check_classes, held_back, rest_of
from ffl_ray.data.streaming.decode import middle_square
from ffl_ray.data.streaming.image_file import CONVERT, ENDINGS, NOT_READ, image_names, is_hidden
from ffl_ray.data.streaming.image_file import opened as opened_file
from ffl_ray.errors import DataError
from ffl_ray.files import expanded

MOST_LOOKED_AT = 40
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def open_train(settings: DataConfig) -> Opened:
    """The images that may be trained on and validated with.

    Raises:
        DataError: the folder or its class folders are missing.
    """
    root = _root(settings)
    if (root / "train").is_dir():
        return _index(root / "train", image_side(settings))
    return rest_of(_index(root, image_side(settings)))


class Look(NamedTuple):
    """A look at some of the images.

    Attributes:
        side: of the shorter ones' sides the middle one, in pixels.
        decode_s: seconds to decode one, on one CPU.
    """

    side: int
    decode_s: float


def look(settings: DataConfig) -> Look:
    """A look at some of the images that may be trained on, evenly chosen.

    Raises:
        DataError: as of `open_train`; or none of them can be read.
    """
    files = open_train(settings).images
    assert isinstance(files, Files), "a folder holds files"
    sides, started = [], time.perf_counter()
    for position in range(0, len(files), max(1, len(files) // MOST_LOOKED_AT)):
        try:
            with opened_file(files.source(position)) as image:
                sides.append(min(image.size))
            middle_square(files.source(position), files.size)
        except OSError:
            continue
    if not sides:
        raise DataError(f"data.dir: no image of {len(files)} in {files.folder} can be read")
    return Look(int(median(sides)), (time.perf_counter() - started) / len(sides))


def find_test(settings: DataConfig) -> Opened:
    """The test split's files, none of them opened.

    Raises:
        DataError: as of `open_train`; or the test split holds other classes.
    """
    root, test = _root(settings), open_test(settings)
    if not (root / "train").is_dir():
        return test
    rule = f"{_test_folder(root)} must hold the class folders of train/"
    check_classes(_classes(root / "train"), test.info.classes, rule)
    return test


def open_test(settings: DataConfig) -> Opened:
    """The images of `test/` or `val/`, or the fifth set aside; raises as `open_train` does."""
    root = _root(settings)
    if (root / "train").is_dir():
        return _index(_test_folder(root), image_side(settings))
    return held_back(_index(root, image_side(settings)))


def notes(settings: DataConfig) -> tuple[str, ...]:
    """Which part of a folder is its test split, and which files are passed over; none is opened.

    Raises:
        DataError: as of `find_test`; a folder without a test split is none.
    """
    root = _root(settings)
    kinds = _other_files(root)
    images = _counted({kind: count for kind, count in kinds.items() if kind in NOT_READ})
    others = _counted({kind: count for kind, count in kinds.items() if kind not in NOT_READ})
    return (
        _test_note(settings, root),
        *([f"passed over, images that are not read: {images}; {CONVERT}"] if images else []),
        *([f"passed over, no images: {others}"] if others else []),
    )


def _counted(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _test_note(settings: DataConfig, root: Path) -> str:
    only = "only confirm opens it"
    if not (root / "train").is_dir():
        count = len(open_test(settings).images)
        return f"test split: a fifth of every class is set aside, {count:,} images; {only}"
    try:
        folder = _test_folder(root)
    except DataError:
        return (
            "no test split: a search needs none, and confirm does: test/ or val/ beside train/; or "
            "give the folder train/ itself, of which a fifth is then set aside"
        )
    count = len(find_test(settings).images)
    return f"test split: {folder.name}/ beside train/, {count:,} images; {only}"


def _other_files(root: Path) -> Counter[str]:
    """How many files of each ending are not read, by their names alone; hidden ones together."""
    found: Counter[str] = Counter()
    for _, inside, files in os.walk(root):
        inside[:] = [name for name in inside if not is_hidden(name)]
        for name in files:
            if is_hidden(name):
                found["hidden"] += 1
            elif not name.lower().endswith(ENDINGS):
                found[os.path.splitext(name)[1].lower() or "without an ending"] += 1  # noqa: PTH122
    return found


def _test_folder(root: Path) -> Path:
    for name in ("test", "val"):
        if (root / name).is_dir():
            return root / name
    raise DataError(f"data.dir must hold test/ or val/ beside train/, and {root} does not")


def _root(settings: DataConfig) -> Path:
    if settings.dir is None:
        raise DataError("data.dir must name a folder when data.name is folder, not none")
    root = expanded(settings.dir)
    if not root.is_dir():
        raise DataError(f"data.dir must be an existing folder, not {str(root)!r}")
    return root


def _classes(folder: Path) -> tuple[str, ...]:
    """Names of the class folders, in order; what begins with a dot is a system's own."""
    classes = sorted(
        entry.name for entry in os.scandir(folder) if entry.is_dir() and not is_hidden(entry.name)
    )
    if len(classes) < 2:
        raise DataError(
            f"data.dir must hold at least 2 class folders of images; {folder} holds {len(classes)}"
        )
    return tuple(classes)


def _index(folder: Path, size: int) -> Opened:
    """All images of the class folders, at any depth inside, without what is hidden."""
    classes = _classes(folder)
    names: list[bytes] = []
    counts: list[int] = []
    for name in classes:
        found = sorted(image_names(os.fspath(folder / name), f"{name}/"), key=_parts_of_path)
        if not found:
            raise DataError(_without_images(folder / name))
        names += map(os.fsencode, found)
        counts.append(len(found))
    labels = torch.arange(len(classes)).repeat_interleave(torch.tensor(counts))
    files = Files(os.fspath(folder), np.array(names), labels, size)
    return Opened(files, info_of_photos(classes, size))


def _without_images(folder: Path) -> str:
    rule = f"data.dir: {folder} must hold images ({', '.join(ENDINGS)}), and holds"
    kinds = {kind: count for kind, count in _other_files(folder).items() if kind in NOT_READ}
    if kinds:
        return f"{rule} {_counted(kinds)}: {CONVERT}"
    return f"{rule} none: remove it, or put some in"


def info_of_photos(classes: tuple[str, ...], size: int) -> DatasetInfo:
    """Facts of photographs of any origin: ImageNet's mean and deviation, shifts, mirror images."""
    padding = max(1, size // 8)
    return DatasetInfo(classes, IMAGENET_MEAN, IMAGENET_STD, crop_padding=padding, flip=True)


def _parts_of_path(path: str) -> list[str]:
    return path.split("/")
