"""TrivialAugment: one random operation of random strength for each image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from ffl_ray.data.seeds import seeded
from ffl_ray.data.streaming.decode import Square


def trivial_augment(
    pixels: UInt8[Tensor, "batch height width channels"], seeds: Sequence[int]
) -> UInt8[Tensor, "batch height width channels"]:
    """A batch with torchvision's TrivialAugmentWide applied to each image by its own seed.

    One operation of 14, at one of 31 strengths (Mueller and Hutter 2021, arXiv:2103.10158,
    section 3). Its ranges are the published ones whatever the size of the images: a shift of up
    to 32 pixels may leave nothing of a small one. The pixels never leave their device, and each
    image is a call of its own: 128 images of 32x32 take 20 to 30 ms on one CPU thread.
    """
    # 6 s: torchvision imports torch's compiler.
    from torchvision.transforms.v2 import TrivialAugmentWide

    augment = TrivialAugmentWide()
    augmented = []
    for image, seed in zip(pixels.permute(0, 3, 1, 2), seeds, strict=True):
        with seeded(seed):
            augmented.append(augment(image))
    return torch.stack(augmented).permute(0, 2, 3, 1).contiguous()


def augmented_square(square: Square, seed: int) -> Square:
    """One image [size, size, 3] as `trivial_augment` changes it."""
    pixels = torch.from_numpy(square.copy())
    augmented: Square = trivial_augment(pixels[None], [seed])[0].numpy()
    return augmented
