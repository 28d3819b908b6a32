"""CIFAR-10 and CIFAR-100 from the official python files (Krizhevsky 2009).

The files are those that torchvision downloads and opens. They are read here without it, because
importing it takes 5 s in every worker. Every file's md5 is checked first, and unpickling is
confined to numpy arrays. At a smaller data.image_size squares of pixels are averaged, as in
downsampled ImageNet (Chrabaszcz et al. 2017, arXiv:1707.08819). The training split is opened
without so much as a look at the test files.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ffl_ray.config.image_shapes import SIDES, image_side
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import DatasetInfo, Images, Opened
from ffl_ray.errors import DataError
from ffl_ray.files import expanded


class Layout(NamedTuple):
    """The files of one set, each with its published md5, and the keys inside them."""

    folder: str
    train: dict[str, str]
    test: dict[str, str]
    meta: dict[str, str]
    labels: str
    classes: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


LAYOUTS = {
    "cifar10": Layout(
        folder="cifar-10-batches-py",
        train={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test={"test_batch": "40351d587109b95175f43aff81a1287e"},
        meta={"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
        labels="labels",
        classes="label_names",
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
    ),
    "cifar100": Layout(
        folder="cifar-100-python",
        train={"train": "16019d7e3df5f24257cddd939b257f8d"},
        test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        meta={"meta": "7973b15100ade9c7d40fb424638fde48"},
        labels="fine_labels",
        classes="fine_label_names",
        # As in the authors' program of FFL.
        mean=(129.3 / 255, 124.1 / 255, 112.4 / 255),
        std=(68.2 / 255, 65.4 / 255, 70.4 / 255),
    ),
}
Pixels = np.ndarray[tuple[int, int, int, int], np.dtype[np.uint8]]
SIDE = SIDES["cifar10"][0]
ARRAY_CLASSES = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}


def open_train(settings: DataConfig) -> Opened:
    """The 50,000 training images.

    Raises:
        DataError: data.dir is not set, a file is missing, or its md5 is not the published one.
    """
    layout = LAYOUTS[settings.name]
    return _open(settings, layout, layout.train)


def find_test(settings: DataConfig) -> None:
    """Check that the test files are there, or may be downloaded; raises as `open_train` does."""
    layout = LAYOUTS[settings.name]
    folder = _folder(settings, layout)
    for name in layout.test:
        if not settings.download:
            _check_there(folder / name)


def open_test(settings: DataConfig) -> Opened:
    """The 10,000 test images; raises as `open_train` does."""
    layout = LAYOUTS[settings.name]
    return _open(settings, layout, layout.test)


def _open(settings: DataConfig, layout: Layout, files: dict[str, str]) -> Opened:
    folder = _folder(settings, layout)
    if settings.download and not all((folder / name).is_file() for name in [*files, *layout.meta]):
        _download(settings, folder.parent)
    contents = [_content(folder / name, md5) for name, md5 in files.items()]
    names = [_content(folder / name, md5) for name, md5 in layout.meta.items()]
    pixels = np.concatenate([content["data"] for content in contents]).reshape(-1, 3, SIDE, SIDE)
    side = image_side(settings)
    pixels = _averaged(pixels, SIDE // side)
    labels = [label for content in contents for label in content[layout.labels]]
    images = Images(
        torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))),
        torch.tensor(labels, dtype=torch.int64),
    )
    classes = tuple(names[0][layout.classes])
    padding = side // 8
    info = DatasetInfo(classes, layout.mean, layout.std, crop_padding=padding, flip=True)
    return Opened(images, info)


def _averaged(pixels: Pixels, factor: int) -> Pixels:
    """Images whose pixels are means of squares of so many to a side, halves rounded up."""
    count, channels, height, width = pixels.shape
    squares = pixels.reshape(count, channels, height // factor, factor, width // factor, factor)
    sums = squares.sum(axis=(3, 5), dtype=np.uint16)
    means: Pixels = ((sums + factor**2 // 2) // factor**2).astype(np.uint8)
    return means


def _folder(settings: DataConfig, layout: Layout) -> Path:
    if settings.dir is None:
        raise DataError(
            f"data.dir must name the folder that holds {layout.folder} when data.name is "
            f"{settings.name}, not none (--data-dir FOLDER)"
        )
    return expanded(settings.dir) / layout.folder


def _download(settings: DataConfig, root: Path) -> None:
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[settings.name]
    try:
        kind(str(root), download=True)
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
        raise DataError(f"data.dir {root}: {settings.name} can't be downloaded: {error}") from error


def _content(path: Path, md5: str) -> dict[str, Any]:
    """What a file of the set holds, once its md5 is right."""
    _check_there(path)
    data = path.read_bytes()
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"data.dir: {path} is damaged: its md5 must be {md5}, not {found} "
            f"(delete it and run with --set data.download=true)"
        )
    content: dict[str, Any] = _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    return content


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise DataError(
            f"data.dir must hold {path.parent.name}/{path.name}, and {path} is not there "
            f"(--set data.download=true fetches it)"
        )


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays and plain values; anything else in the file is refused unrun."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAY_CLASSES:
            raise DataError(f"a CIFAR file holds arrays, not {module}.{name}")
        return super().find_class(module, name)
