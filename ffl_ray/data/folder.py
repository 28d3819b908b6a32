"""Any image folder in the ImageFolder layout, decoded once and resized to one square size.

`data.dir` holds either `train/CLASS/*.jpg` and, for the test split, `test/CLASS/*.jpg` (or
`val/`, ImageNet's name for the part with public labels); or the class folders themselves, of
which a fifth of every class is then set aside as the test split by a seed that is no setting.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ffl_ray.config import DataConfig
from ffl_ray.data.dataset import DatasetInfo, Images, Opened
from ffl_ray.data.splits import Split, stratified_split
from ffl_ray.errors import DataError

TEST_FRACTION = 0.2
TEST_SEED = 1904_09058
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class Index(NamedTuple):
    """The images of a folder: path and class number of each."""

    classes: tuple[str, ...]
    paths: list[Path]
    labels: list[int]


def open_train(settings: DataConfig) -> Opened:
    """The images that may be trained on and validated with.

    Raises:
        DataError: the folder or its class folders are missing, or a file is not an image.
    """
    root = _root(settings)
    if (root / "train").is_dir():
        return _read(_index(root / "train"), settings.image_size)
    whole = _index(root)
    return _read(_take(whole, _parts(whole).rest), settings.image_size)


def find_test(settings: DataConfig) -> None:
    """Check that there is a test split; raises as `open_train` does."""
    root = _root(settings)
    if (root / "train").is_dir():
        _test_folder(root)


def open_test(settings: DataConfig) -> Opened:
    """The images of `test/` or `val/`, or the part set aside; raises as `open_train` does."""
    root = _root(settings)
    if not (root / "train").is_dir():
        whole = _index(root)
        return _read(_take(whole, _parts(whole).held_out), settings.image_size)
    return _read(_index(_test_folder(root)), settings.image_size)


def _test_folder(root: Path) -> Path:
    for name in ("test", "val"):
        if (root / name).is_dir():
            return root / name
    raise DataError(f"data.dir must hold test/ or val/ beside train/, and {root} does not")


def _root(settings: DataConfig) -> Path:
    if settings.dir is None:
        raise DataError("data.dir must name a folder when data.name is folder, not none")
    root = Path(settings.dir).expanduser()
    if not root.is_dir():
        raise DataError(f"data.dir must be an existing folder, not {str(root)!r}")
    return root


def _index(folder: Path) -> Index:
    """Classes are the folders, in order of name; their images are at any depth inside."""
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if len(classes) < 2:
        raise DataError(
            f"data.dir must hold at least 2 class folders of images; {folder} holds {len(classes)}"
        )
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in ENDINGS)
        if not found:
            raise DataError(
                f"data.dir: {folder / name} must hold images ({', '.join(ENDINGS)}), and holds none"
            )
        paths += found
        labels += [label] * len(found)
    return Index(tuple(classes), paths, labels)


def _parts(index: Index) -> Split:
    return stratified_split(torch.tensor(index.labels), TEST_FRACTION, TEST_SEED)


def _take(index: Index, positions: Tensor) -> Index:
    chosen = positions.tolist()
    return index._replace(
        paths=[index.paths[i] for i in chosen], labels=[index.labels[i] for i in chosen]
    )


def _read(index: Index, size: int) -> Opened:
    pixels = torch.empty((len(index.paths), size, size, 3), dtype=torch.uint8)

    def decode(position: int) -> None:
        pixels[position] = torch.from_numpy(_square(index.paths[position], size))

    with ThreadPoolExecutor() as pool:
        list(pool.map(decode, range(len(index.paths))))
    labels = torch.tensor(index.labels, dtype=torch.int64)
    info = DatasetInfo(
        index.classes,
        IMAGENET_MEAN,
        IMAGENET_STD,
        crop_padding=max(1, size // 8),
        flip=True,
    )
    return Opened(Images(pixels, labels), info)


def _square(path: Path, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The middle square of an image, resized: pixels [size, size, 3]."""
    try:
        with Image.open(path) as image:
            side = min(image.size)
            left, top = ((length - side) // 2 for length in image.size)
            box = (left, top, left + side, top + side)
            return np.array(image.convert("RGB").resize((size, size), box=box))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"data.dir: {path} can't be read as an image: {error}") from error
