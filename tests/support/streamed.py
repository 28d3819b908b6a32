"""Small folders of JPEGs, served from their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.batches import Batch, EpochRequest
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.data.loader import load_train_val
from ffl_ray.data.streaming.pool import LoaderPool
from ffl_ray.data.streaming.stream import StreamedImages, served

CPU = torch.device("cpu")
SIZE = 16


def write_jpegs(root: Path, count: int = 12, classes: tuple[str, ...] = ("ant", "bee")) -> Path:
    generator = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(count):
            coarse = generator.integers(0, 256, (3, 4, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((40 + index, 36), Image.Resampling.BICUBIC)
            picture.save(root / name / f"{index}.jpg", quality=90)
    return root


def settings(root: Path, **changes: object) -> DataConfig:
    given = {"name": "folder", "dir": str(root), "image_size": SIZE, "val_fraction": 0.25}
    return DataConfig.model_validate(given | {"residency": "stream"} | changes)


def streamed(root: Path, pool: LoaderPool, **changes: object) -> StreamedImages:
    data = load_train_val(settings(root, **changes))
    found = served(data.train, data.info, CPU, pool)
    assert isinstance(found, StreamedImages)
    return found


def epoch(images: StreamedImages | DeviceImages, **changes: object) -> list[Batch]:
    given = {"batch_size": 7, "seed": 3, "epoch": 1, **changes}
    return list(images.train_batches(EpochRequest(**given)))  # type: ignore[arg-type]
