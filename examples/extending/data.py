"""A data set of your own: --set data.name=data:bars"""

import torch

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import DatasetInfo, Images
from ffl_ray.data.user_dataset import SplitName, data_set


@data_set((1, 8, 8), DatasetInfo(("row", "column"), (0.5,), (0.3,), crop_padding=0, flip=True))
def bars(settings: DataConfig, split: SplitName) -> Images:
    """Noise with a bright row or a bright column; real data would be read from settings.dir."""
    seeded = torch.Generator().manual_seed(len(split))
    labels = torch.arange(600 if split == "train" else 200) % 2
    pixels = torch.randint(0, 160, (len(labels), 8, 8, 1), generator=seeded, dtype=torch.uint8)
    for image, label in zip(pixels, labels, strict=True):
        line = int(torch.randint(8, (1,), generator=seeded))
        image.select(int(label), line).fill_(255)
    return Images(pixels, labels)
