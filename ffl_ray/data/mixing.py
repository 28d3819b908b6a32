"""Mixup and CutMix: a batch whose images and labels are blended with each other's."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from ffl_ray.config.settings import Mixing
from ffl_ray.data.seeds import draw_seeds, seeded


class Box(NamedTuple):
    """Rows top..bottom-1 and columns left..right-1 of an image."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """Pixels inside."""
        return (self.bottom - self.top) * (self.right - self.left)


class Mix(NamedTuple):
    """Blend of the images of one batch with their partners.

    Attributes:
        share: of each image's own label, in [0, 1]; the partner's has the rest.
        box: what the partner replaces; none: all pixels are blended by the share.
    """

    share: float
    box: Box | None = None


def draw_mixes(
    count: int,
    *,
    mixing: Mixing,
    alpha: float,
    height: int,
    width: int,
    generator: torch.Generator,
) -> list[Mix]:
    """The blends of `count` batches, each share drawn from Beta(alpha, alpha)."""
    shares = _beta(count, alpha, generator)
    if mixing == "mixup":
        return [Mix(share) for share in shares]
    centres = torch.rand(count, 2, generator=generator, dtype=torch.float64).tolist()
    return [
        cut(share, int(down * height), int(right * width), height=height, width=width)
        for share, (down, right) in zip(shares, centres, strict=True)
    ]


def cut(share: float, row: int, column: int, *, height: int, width: int) -> Mix:
    """CutMix's blend whose box is centred at a pixel and would leave this share, if it fits.

    Both sides are sqrt(1 - share) of the image's. The box is clipped at the border, and the
    label follows the area that is left (Yun et al. 2019, arXiv:1905.04899, section 3.1, and the
    authors' program).
    """
    side = math.sqrt(1.0 - share)
    top, bottom = _clipped(row, int(height * side), height)
    left, right = _clipped(column, int(width * side), width)
    box = Box(top, bottom, left, right)
    return Mix(1.0 - box.area / (height * width), box)


def mix_images(
    images: Float[Tensor, "batch channels height width"],
    partners: Float[Tensor, "batch channels height width"],
    mix: Mix,
) -> Float[Tensor, "batch channels height width"]:
    """Each image blended with its partner, or with the partner's pixels in the box."""
    if mix.box is None:
        return images * mix.share + partners * (1.0 - mix.share)
    top, bottom, left, right = mix.box
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = partners[:, :, top:bottom, left:right]
    return mixed


def mix_labels(
    labels: Int64[Tensor, "batch"], partners: Int64[Tensor, "batch"], mix: Mix, num_classes: int
) -> Float[Tensor, "batch classes"]:
    """Class probabilities: the image's share on its own class, the rest on its partner's."""
    first, second = (F.one_hot(x, num_classes).float() for x in (labels, partners))
    return first * mix.share + second * (1.0 - mix.share)


def _beta(count: int, alpha: float, generator: torch.Generator) -> list[float]:
    concentration = torch.tensor(alpha, dtype=torch.float64)
    (seed,) = draw_seeds(1, generator).tolist()
    with seeded(seed):
        beta = torch.distributions.Beta(concentration, concentration)
        shares: list[float] = beta.sample((count,)).tolist()
    return shares


def _clipped(centre: int, length: int, limit: int) -> tuple[int, int]:
    start = centre - length // 2
    return max(start, 0), min(start + length, limit)
