"""scikit-learn's 1,797 real 8x8 images of handwritten digits: embedded, no download.

Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI (the set's test split,
which is what scikit-learn ships). There is no published split of these images, so a fifth is
set aside as the test split, by class and by a seed that is no setting.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import DatasetInfo, Images, Opened
from ffl_ray.data.held_back import held_back_split

INFO = DatasetInfo(
    classes=tuple(str(digit) for digit in range(10)),
    mean=(0.3053,),
    std=(0.3760,),
    crop_padding=1,
    flip=False,
)


def open_train(settings: DataConfig) -> Opened:
    """The four fifths that may be trained on and validated with: its class counts are theirs."""
    images = _all_images()
    return Opened(images.take(held_back_split(images).rest), INFO)


def find_test(settings: DataConfig) -> None:
    """Nothing to do: the test split is always there."""


def open_test(settings: DataConfig) -> Opened:
    """The fifth that is set aside."""
    images = _all_images()
    return Opened(images.take(held_back_split(images).held_out), INFO)


def _all_images() -> Images:
    rows = np.loadtxt(_file(), delimiter=",")
    grey = np.rint(rows[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return Images(torch.from_numpy(grey), torch.from_numpy(rows[:, -1].astype(np.int64)))


def _file() -> Path:
    """scikit-learn's file of `load_digits`, found without the 4 s that importing it takes."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None, "scikit-learn is a dependency"
    assert spec.origin is not None, "and a regular package"
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
