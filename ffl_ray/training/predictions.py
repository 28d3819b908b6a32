"""What a member makes of every image of a split: whether it is right, and its NLL.

Without torch, and as text for checkpoints and reports: a bit and two bytes an image.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32


class Predictions(NamedTuple):
    """A member's outcome on every image, in the order of the split.

    Attributes:
        right: whether the likeliest class is the image's.
        nll: negative log-likelihood in nats, as a float16 holds it: to 1 in 2,048.
    """

    right: Bool[np.ndarray, "images"]
    nll: Float32[np.ndarray, "images"]


def to_texts(found: Predictions) -> dict[str, str]:
    """The predictions as texts, by the names of their columns."""
    largest = np.finfo(np.float16).max
    halves = np.minimum(found.nll, largest).astype("<f2")
    return {"right": _text(np.packbits(found.right).tobytes()), "nll": _text(halves.tobytes())}


def from_texts(row: dict[str, Any], images: int) -> Predictions:
    """The predictions that `to_texts` put into a row.

    Raises:
        ValueError: they are not of so many images.
    """
    bits = np.frombuffer(base64.b64decode(row["right"], validate=True), np.uint8)
    halves = np.frombuffer(base64.b64decode(row["nll"], validate=True), "<f2")
    if len(halves) != images or len(bits) != -(-images // 8):
        raise ValueError(f"predictions must be of {images} images, not {len(halves)}")
    return Predictions(np.unpackbits(bits, count=images).astype(bool), halves.astype(np.float32))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
