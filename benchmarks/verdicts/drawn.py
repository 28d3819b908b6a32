"""Drawn trainings: two arms, right or not on every image with every seed, and their NLL.

A latent score of a training on an image is the sum of what the arm is good for, how easy the image
is, how well it suits the arm, how lucky the seed is, and what only this seed makes of this image.
An image is right where it is above 0, and its NLL is lognormal: both means are known exactly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from scipy.special import ndtri

IMAGE, SUITS, SEED, OWN = 1.5, 0.3, 0.02, 1.0  # standard deviations; both arms meet equal images
TOTAL = math.hypot(IMAGE, SUITS, SEED, OWN)
SHARPNESS = 0.5  # of the NLL: its standard deviation is 1.1 times its mean


class Drawn(NamedTuple):
    """Differences of two arms, the first minus the second, and their true means."""

    right: Float32[np.ndarray, "seeds images"]
    nll: Float32[np.ndarray, "seeds images"]
    true_right: float
    true_nll: float


def drawn(
    rng: np.random.Generator, seeds: int, images: int, accuracies: tuple[float, float]
) -> Drawn:
    """The differences of two arms of these true accuracies."""
    easy = _normal(rng, IMAGE, images)
    arms = [TOTAL * float(ndtri(accuracy)) for accuracy in accuracies]
    scores = [
        arm
        + easy
        + _normal(rng, SUITS, images)
        + _normal(rng, SEED, (seeds, 1))
        + _normal(rng, OWN, (seeds, images))
        for arm in arms
    ]
    ours, theirs = scores
    mine, others = (np.exp(-SHARPNESS * score) for score in scores)
    nlls = [math.exp(-SHARPNESS * arm + (SHARPNESS * TOTAL) ** 2 / 2) for arm in arms]
    right = (ours > 0).astype(np.float32) - (theirs > 0).astype(np.float32)
    return Drawn(right, mine - others, accuracies[0] - accuracies[1], nlls[0] - nlls[1])


def _normal(
    rng: np.random.Generator, scale: float, size: int | tuple[int, ...]
) -> Float32[np.ndarray, "..."]:
    return np.float32(scale) * rng.standard_normal(size, np.float32)
