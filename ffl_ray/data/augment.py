"""Augmentation and normalisation of a batch, on the device where the images live."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

Fill = Literal["reflect", "zero"]


class Draws(NamedTuple):
    """Random numbers of each image: where its crop lies, and whether it is mirrored."""

    shifts: Int64[Tensor, "images 2"]
    flips: Bool[Tensor, "images"]

    def to(self, device: torch.device) -> Draws:
        """The same draws on another device."""
        return Draws(self.shifts.to(device), self.flips.to(device))


def draw(count: int, *, padding: int, flip: bool, generator: torch.Generator) -> Draws:
    """Random crops and flips for `count` images, drawn where the generator lives.

    Args:
        padding: crops shift by -padding..padding pixels, each shift equally likely.
        flip: mirror half of the images.
    """
    shifts = torch.randint(-padding, padding + 1, (count, 2), generator=generator)
    mirrored = torch.randint(0, 2, (count,), generator=generator) == 1
    return Draws(shifts, mirrored & flip)


def crop_and_flip(
    pixels: UInt8[Tensor, "stored height width channels"],
    indices: Int64[Tensor, "batch"],
    draws: Draws,
    *,
    fill: Fill = "reflect",
) -> UInt8[Tensor, "batch height width channels"]:
    """A batch of stored images, each shifted over its padded border and maybe mirrored.

    Equal to padding, flipping and cropping back to size (the authors' order: the distribution is
    the same in either), done as one gather with no padded copy.

    Args:
        fill: the border's pixels: the image's reflection, or zero, black, as torchvision's
            RandomCrop has it.
    """
    _, height, width, _ = pixels.shape
    rows, columns = (
        _positions(side, draws.shifts[:, axis]) for axis, side in enumerate((height, width))
    )
    columns = torch.where(draws.flips[:, None], columns.flip(1), columns)
    taken = _reflect(rows, height)[:, :, None], _reflect(columns, width)[:, None, :]
    cropped = pixels[indices[:, None, None], *taken]
    if fill == "reflect":
        return cropped
    outside = _outside(rows, height)[:, :, None] | _outside(columns, width)[:, None, :]
    return cropped.masked_fill_(outside[..., None], 0)


def normalise(
    pixels: UInt8[Tensor, "batch height width channels"],
    mean: Float[Tensor, "channels"],
    std: Float[Tensor, "channels"],
) -> Float[Tensor, "batch channels height width"]:
    """Pixels scaled to [0, 1], then to zero mean and unit deviation; channels last in memory.

    A row of pixels is taken as one vector: a loop over three channels keeps a CPU from its vector
    instructions, and takes twice as long at 224x224 and four times at 32x32.
    """
    count, height, width, channels = pixels.shape
    scale, shift = (1 / (255 * std)).repeat(width), (mean / std).repeat(width)
    rows = pixels.reshape(count, height, width * channels).to(mean.dtype)
    scaled = rows.mul_(scale).sub_(shift)
    return scaled.view(pixels.shape).permute(0, 3, 1, 2)


def _positions(length: int, shifts: Int64[Tensor, "batch"]) -> Int64[Tensor, "batch length"]:
    return torch.arange(length, device=shifts.device)[None, :] + shifts[:, None]


def _reflect(
    positions: Int64[Tensor, "batch length"], length: int
) -> Int64[Tensor, "batch length"]:
    mirrored = positions.abs()
    return (length - 1) - (length - 1 - mirrored).abs()


def _outside(positions: Int64[Tensor, "batch length"], length: int) -> Bool[Tensor, "batch length"]:
    return (positions < 0) | (positions >= length)
