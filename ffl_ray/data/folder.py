"""Any image folder in the ImageFolder layout: its index, read without opening an image.

`data.dir` holds either `train/CLASS/*.jpg` and, for the test split, `test/CLASS/*.jpg` (or
`val/`, ImageNet's name for the split with public labels); or the class folders themselves, of
which a fifth of every class is then set aside as the test split by a seed that is no setting.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from ffl_ray.config.image_shapes import image_side
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import DatasetInfo, Files, Opened
from ffl_ray.data.splits import Split, stratified_split
from ffl_ray.data.streaming.image_file import ENDINGS, image_names, is_hidden
from ffl_ray.errors import DataError
from ffl_ray.files import expanded

TEST_FRACTION = 0.2
TEST_SEED = 1904_09058
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
    opened = _index(root, image_side(settings))
    rest = opened.images.take(_split(opened).rest)
    return opened._replace(images=rest, counts=opened.class_counts)


def find_test(settings: DataConfig) -> Opened:
    """The test split's files, none of them opened.

    Raises:
        DataError: as of `open_train`; or the test split holds other classes.
    """
    root, test = _root(settings), open_test(settings)
    if not (root / "train").is_dir():
        return test
    classes = _classes(root / "train")
    if test.info.classes != classes:
        folder = _test_folder(root)
        lacking = [repr(name) for name in classes if name not in test.info.classes]
        more = [repr(name) for name in test.info.classes if name not in classes]
        has = f"lacks {', '.join(lacking)}" if lacking else f"holds {', '.join(more)} as well"
        raise DataError(f"{folder} must hold the class folders of train/, and {has}")
    return test


def open_test(settings: DataConfig) -> Opened:
    """The images of `test/` or `val/`, or the fifth set aside; raises as `open_train` does."""
    root = _root(settings)
    if (root / "train").is_dir():
        return _index(_test_folder(root), image_side(settings))
    opened = _index(root, image_side(settings))
    return opened._replace(images=opened.images.take(_split(opened).held_out))


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
            raise DataError(
                f"data.dir: {folder / name} must hold images ({', '.join(ENDINGS)}), and holds none"
            )
        names += map(os.fsencode, found)
        counts.append(len(found))
    labels = torch.arange(len(classes)).repeat_interleave(torch.tensor(counts))
    info = DatasetInfo(
        classes,
        IMAGENET_MEAN,
        IMAGENET_STD,
        crop_padding=max(1, size // 8),
        flip=True,
    )
    return Opened(Files(os.fspath(folder), np.array(names), labels, size), info)


def _parts_of_path(path: str) -> list[str]:
    return path.split("/")


def _split(opened: Opened) -> Split:
    return stratified_split(opened.images.labels, TEST_FRACTION, TEST_SEED)
