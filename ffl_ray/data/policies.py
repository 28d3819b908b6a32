"""Policies of augmentation: what one view of the images goes through after its crop and flip."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ffl_ray.data.seeds import draw_seeds
from ffl_ray.data.streaming.decode import Square
from ffl_ray.data.trivial_augment import augmented_alike, trivial_augment

# Different augmentations of one epoch: images that share one are augmented by one call.
DIFFERENT = 512
DEGREES = 15
Pixels = UInt8[Tensor, "batch height width channels"]


def draw_policy(
    policy: str, count: int, generator: torch.Generator
) -> Int64[Tensor, "images"] | None:
    """Seeds of what a policy does to each of `count` images; none where it does nothing.

    Operations of torchvision are drawn 512 times an epoch, and each image takes one of these.
    """
    if policy == "standard":
        return None
    if policy in ("trivial", "cutout"):
        return draw_seeds(count, generator)
    chosen = torch.randint(DIFFERENT, (count,), generator=generator)
    return draw_seeds(DIFFERENT, generator)[chosen]


def augmented(
    policy: str, pixels: Pixels, seeds: Int64[Tensor, "batch"], mean: Sequence[float]
) -> Pixels:
    """A batch as a policy changes each image by its own seed.

    Args:
        policy: trivial; cutout; or torchvision's rotation (by up to 15 degrees), randaugment (two
            operations of strength 9; Cubuk et al. 2020, arXiv:1909.13719) or autoaugment (of
            CIFAR-10; Cubuk et al. 2019, arXiv:1805.09501).
        mean: of the data set's pixels by channel, from 0 to 1: what is cut out becomes that.
    """
    if policy == "cutout":
        return cut_out(pixels, seeds.to(pixels.device), mean)
    if policy == "trivial":
        return trivial_augment(pixels, seeds.tolist())
    keys: list[int] = seeds.tolist()
    return augmented_alike(pixels, keys, keys, _of_torchvision(policy))


def cut_out(pixels: Pixels, seeds: Int64[Tensor, "batch"], mean: Sequence[float]) -> Pixels:
    """A batch with a square of half each image's side replaced by the mean colour.

    Its centre is any pixel, so that it may reach over the border (DeVries and Taylor 2017,
    arXiv:1708.04552, section 3.2).
    """
    _, height, width, _ = pixels.shape
    half = min(height, width) // 4
    rows = _within(height, seeds % height, half)
    columns = _within(width, seeds // height % width, half)
    colour = torch.tensor([round(255 * x) for x in mean], dtype=pixels.dtype)
    box = rows[:, :, None, None] & columns[:, None, :, None]
    return torch.where(box, colour.to(pixels.device), pixels)


def augmented_square(policy: str, square: Square, seed: int, mean: Sequence[float]) -> Square:
    """One image [size, size, 3] as a policy changes it."""
    pixels = torch.from_numpy(square.copy())
    found: Square = augmented(policy, pixels[None], torch.tensor([seed]), mean)[0].numpy()
    return found


def _within(length: int, centres: Int64[Tensor, "batch"], half: int) -> Tensor:
    distance = torch.arange(length, device=centres.device)[None, :] - centres[:, None]
    return (distance >= -half) & (distance < half)


def _of_torchvision(policy: str) -> Callable[[Tensor], Tensor]:
    # 6 s: torchvision imports torch's compiler.
    from torchvision.transforms import v2

    transforms = {
        "rotation": lambda: v2.RandomRotation(DEGREES),
        "randaugment": v2.RandAugment,
        "autoaugment": lambda: v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10),
    }
    found: Callable[[Tensor], Tensor] = transforms[policy]()
    return found
