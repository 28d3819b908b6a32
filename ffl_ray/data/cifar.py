"""CIFAR-10 and CIFAR-100 from the official python files (Krizhevsky 2009), through torchvision.

The training split is opened without so much as a look at the test files.
"""

from pathlib import Path
from typing import Any

import torch
from torchvision import datasets
from torchvision.datasets.utils import calculate_md5

from ffl_ray.config import DataConfig
from ffl_ray.data.dataset import DatasetInfo, Images, Opened
from ffl_ray.errors import DataError

# Means and deviations of the authors' program for CIFAR-100, the customary ones for CIFAR-10.
STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": (
        (129.3 / 255, 124.1 / 255, 112.4 / 255),
        (68.2 / 255, 65.4 / 255, 70.4 / 255),
    ),
}


class TrainOnlyCIFAR10(datasets.CIFAR10):
    """torchvision's class, told that there are no test files to verify."""

    test_list: list[Any] = []


class TrainOnlyCIFAR100(datasets.CIFAR100):
    """torchvision's class, told that there are no test files to verify."""

    test_list: list[Any] = []


TRAIN_CLASSES = {"cifar10": TrainOnlyCIFAR10, "cifar100": TrainOnlyCIFAR100}
TEST_CLASSES = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}


def open_train(settings: DataConfig) -> Opened:
    """The 50,000 training images.

    Raises:
        DataError: data.dir is not set, a file is missing, or its md5 is not the published one.
    """
    return _open(settings, TRAIN_CLASSES[settings.name], train=True)


def open_test(settings: DataConfig) -> Opened:
    """The 10,000 test images; raises as `open_train` does."""
    return _open(settings, TEST_CLASSES[settings.name], train=False)


def _open(settings: DataConfig, kind: type[datasets.CIFAR10], *, train: bool) -> Opened:
    if settings.dir is None:
        raise DataError(
            f"data.dir must name the folder that holds {kind.base_folder} when data.name is "
            f"{settings.name}, not none (--data-dir FOLDER)"
        )
    root = Path(settings.dir).expanduser()
    if not settings.download:
        _check_files(root, kind)
    try:
        data = kind(str(root), train=train, download=settings.download)
    except (RuntimeError, OSError) as error:
        raise DataError(f"data.dir {root}: {settings.name} can't be opened: {error}") from error
    images = Images(torch.from_numpy(data.data), torch.tensor(data.targets, dtype=torch.int64))
    mean, std = STATISTICS[settings.name]
    return Opened(images, DatasetInfo(tuple(data.classes), mean, std, crop_padding=4, flip=True))


def _check_files(root: Path, kind: type[datasets.CIFAR10]) -> None:
    folder = root / kind.base_folder
    listed = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
    for name, md5 in listed:
        path = folder / name
        if not path.is_file():
            raise DataError(
                f"data.dir must hold {kind.base_folder}/{name}, and {path} is not there "
                f"(--set data.download=true fetches it)"
            )
        found = calculate_md5(str(path))
        if found != md5:
            raise DataError(
                f"data.dir: {path} is damaged: its md5 must be {md5}, not {found} "
                f"(delete it and run with --set data.download=true)"
            )
