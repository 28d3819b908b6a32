"""A data set of your own that streams: files that a table names, --set data.name=photos:listed"""

import csv
from pathlib import Path

import numpy as np
import torch

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import DatasetInfo, Files
from ffl_ray.data.user_dataset import SplitName, data_set

CLASSES = ("cat", "dog")


@data_set((3, 32, 32), DatasetInfo(CLASSES, (0.5,) * 3, (0.25,) * 3, crop_padding=4, flip=True))
def listed(settings: DataConfig, split: SplitName) -> Files:
    """Rows of photos.csv in settings.dir: split, class, file."""
    folder = Path(settings.dir or ".")
    rows = list(csv.DictReader((folder / "photos.csv").read_text().splitlines()))
    rows = [row for row in rows if row["split"] == split]
    names = np.array([row["file"].encode() for row in rows])
    labels = torch.tensor([CLASSES.index(row["class"]) for row in rows])
    return Files(str(folder), names, labels, size=32)
