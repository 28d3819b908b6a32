"""TrivialAugment: one random operation of random strength for each image."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from ffl_ray.data.seeds import seeded

# As torchvision numbers and draws them; identity, autocontrast and equalise have no strength.
OPERATIONS, STRENGTHS = 14, 31
OF_NO_STRENGTH = (0, 12, 13)


def trivial_augment(
    pixels: UInt8[Tensor, "batch height width channels"], seeds: Sequence[int]
) -> UInt8[Tensor, "batch height width channels"]:
    """A batch with torchvision's TrivialAugmentWide applied to each image by its own seed.

    One operation of 14, at one of 31 strengths (Mueller and Hutter 2021, arXiv:2103.10158,
    section 3). Its ranges are the published ones whatever the size of the images: a shift of up
    to 32 pixels may leave nothing of a small one. The pixels never leave their device. Images
    whose seeds draw the same are one call: some 600 calls for any number of them, of 16 kernels
    each on a GPU. 128 of 4,000 images of 32x32 take 10 ms on a CPU thread; alone each, 87.
    """
    # 6 s: torchvision imports torch's compiler.
    from torchvision.transforms.v2 import TrivialAugmentWide

    return augmented_alike(pixels, _draws(seeds), seeds, TrivialAugmentWide())


def augmented_alike(
    pixels: UInt8[Tensor, "batch height width channels"],
    keys: Sequence[Hashable],
    seeds: Sequence[int],
    augment: Callable[[Tensor], Tensor],
) -> UInt8[Tensor, "batch height width channels"]:
    """A batch, augmented by one call for all images of one key, under the first one's seed."""
    alike = defaultdict(list)
    for position, key in enumerate(keys):
        alike[key].append(position)
    groups = list(alike.values())
    order = torch.tensor(list(itertools.chain(*groups))).to(pixels.device)
    images = torch.split(pixels.permute(0, 3, 1, 2)[order], [len(group) for group in groups])
    made = []
    for group, same in zip(groups, images, strict=True):
        with seeded(seeds[group[0]]):
            made.append(augment(same))
    found = torch.empty_like(pixels)
    found[order] = torch.cat(made).permute(0, 2, 3, 1)
    return found


def _draws(seeds: Sequence[int]) -> list[tuple[int, int, bool]]:
    """What TrivialAugmentWide draws under each seed: an operation, a strength, a sign."""
    generator = torch.Generator()
    found = []
    for seed in seeds:
        generator.manual_seed(seed)
        operation = int(torch.randint(OPERATIONS, (), generator=generator))
        if operation in OF_NO_STRENGTH:
            found.append((operation, 0, False))
            continue
        strength = int(torch.randint(STRENGTHS, (), generator=generator))
        found.append((operation, strength, bool(torch.rand((), generator=generator) <= 0.5)))
    return found
