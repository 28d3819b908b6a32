"""The confusions of a member: which classes are taken for which, and how often.

Counts are of the pairs that occurred: of a thousand classes there are never a million. Without
torch, and as rows of plain values for checkpoints and reports.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageOps
from jaxtyping import Float32, Int64, UInt8
from PIL.Image import Resampling

Row = dict[str, Any]
Pair = tuple[int, int]
Pixels = UInt8[np.ndarray, "images height width channels"]

# What is kept to look at: the most frequent mistakes, some images of each, side by side.
PICTURES, IMAGES, SIDE, GAP = 4, 3, 48, 2
MODES = {1: "L", 3: "RGB"}


class Confusions(NamedTuple):
    """A member's outcomes by class.

    Attributes:
        counts: images by their class and the class that they were taken for.
        pictures: of the most frequent mistakes a JPEG file of a few images side by side, those that
            the member was surest of.
    """

    counts: dict[Pair, int]
    pictures: dict[Pair, bytes]


def confusions(
    labels: Int64[np.ndarray, "images"],
    predicted: Int64[np.ndarray, "images"],
    nll: Float32[np.ndarray, "images"],
    pixels_of: Callable[[Int64[np.ndarray, "taken"]], Pixels],
) -> Confusions:
    """The confusions of a member.

    Args:
        labels: class number of each image.
        predicted: the likeliest class of each.
        nll: negative log-likelihood of each in nats.
        pixels_of: gives the images at some positions; an image that can't be read is no picture.
    """
    pairs, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    found = {(int(t), int(p)): int(n) for (t, p), n in zip(pairs.T, counts, strict=True)}
    pictures = {}
    for true, taken_for in mistakes(found)[:PICTURES]:
        places = np.flatnonzero((labels == true) & (predicted == taken_for))
        surest = places[np.argsort(-nll[places], kind="stable")][:IMAGES]
        with contextlib.suppress(OSError):
            picture = _side_by_side(pixels_of(surest))
            if picture is not None:
                pictures[true, taken_for] = picture
    return Confusions(found, pictures)


def mistakes(counts: Mapping[Pair, int]) -> list[Pair]:
    """The pairs of two different classes, the most frequent first."""
    wrong = [pair for pair in counts if pair[0] != pair[1]]
    return sorted(wrong, key=lambda pair: (-counts[pair], pair))


def to_row(member: str, found: Confusions, classes: Sequence[str]) -> Row:
    """The confusions of a member as plain values.

    Args:
        classes: names of all, in the order of the logits.
    """
    texts = {f"{t} {p}": base64.b64encode(jpeg).decode() for (t, p), jpeg in found.pictures.items()}
    return {
        "member": member,
        "classes": json.dumps(classes),
        "true": [true for true, _ in found.counts],
        "taken_for": [taken_for for _, taken_for in found.counts],
        "images": list(found.counts.values()),
        "pictures": json.dumps(texts),
    }


def from_row(row: Row) -> tuple[Confusions, list[str]]:
    """The confusions that `to_row` put into a row, and the names of all classes.

    Raises:
        ValueError: there are no such classes, or no such counts.
    """
    classes = [str(name) for name in json.loads(row["classes"])]
    pairs = list(zip(row["true"], row["taken_for"], strict=True))
    known = range(len(classes))
    if not all(type(c) is int and c in known for pair in pairs for c in pair):
        raise ValueError(f"confusions must be of {len(classes)} classes")
    if not all(type(count) is int and count > 0 for count in row["images"]):
        raise ValueError("confusions must have counts from 1 on")
    pictures = {
        (int(pair.partition(" ")[0]), int(pair.partition(" ")[2])): base64.b64decode(text)
        for pair, text in json.loads(row["pictures"]).items()
    }
    return Confusions(dict(zip(pairs, row["images"], strict=True)), pictures), classes


def _side_by_side(pixels: Pixels) -> bytes | None:
    """Images in a row as a JPEG file; None where their channels are no colours.

    Small ones are enlarged as they are, and large ones filtered.
    """
    _, height, width, channels = pixels.shape
    if channels not in MODES:
        return None
    strip = PIL.Image.new(MODES[channels], (len(pixels) * (SIDE + GAP) - GAP, SIDE), "white")
    how = Resampling.NEAREST if max(height, width) <= SIDE else Resampling.BICUBIC
    for place, one in enumerate(pixels):
        image = PIL.Image.fromarray(one[:, :, 0] if channels == 1 else one)
        strip.paste(PIL.ImageOps.contain(image, (SIDE, SIDE), how), (place * (SIDE + GAP), 0))
    file = io.BytesIO()
    strip.save(file, "JPEG", quality=85)
    return file.getvalue()
