"""The comparison of what was written, read back, with the trained network."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ffl_ray.data.augment import normalise
from ffl_ray.errors import ExportError
from ffl_ray.export.model import Run
from ffl_ray.export.runner import open_model
from ffl_ray.export.trained import Trained

TOLERANCE = 1e-5
NUM_RANDOM = 7
NUM_REAL = 64


class Probe(NamedTuple):
    """Images to compare on, and the trained member's logits of them."""

    pixels: UInt8[Tensor, "batch height width channels"]
    logits: Float[Tensor, "batch classes"]


class Difference(NamedTuple):
    """The largest difference of an exported file from the trained member.

    Attributes:
        logits: of a logit, as a share of the largest logit where that is above 1.
        probabilities: of a class probability.
        images: how many were compared.
    """

    logits: float
    probabilities: float
    images: int


def probes(trained: Trained, name: str) -> list[Probe]:
    """Random images, one alone, and real images: three batches of other sizes.

    The real ones are of the validation split, or, where a final run left none, trained on.
    """
    generator = torch.Generator().manual_seed(0)
    channels, height, width = trained.data.image_shape
    shape = (NUM_RANDOM, height, width, channels)
    random = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    data = trained.data
    split = data.val if len(data.val) else data.train
    real = split.take(torch.arange(min(NUM_REAL, len(split)))).pixels
    return [
        Probe(pixels, _trained_logits(trained, name, pixels))
        for pixels in (random, random[:1], real)
    ]


def check_file(path: Path, expected: list[Probe]) -> Difference:
    """Open an exported file and compare it with the trained member.

    Logits may differ by `TOLERANCE`, where the largest is above 1 by this share of it: that is
    what float32 keeps when a runtime folds or reorders the sums. Probabilities may differ by
    `TOLERANCE`.

    Raises:
        ExportError: they differ by more.
    """
    run = open_model(path, trusted=True).run
    differences = [_difference(run, probe) for probe in expected]
    found = Difference(
        max(d.logits for d in differences),
        max(d.probabilities for d in differences),
        sum(d.images for d in differences),
    )
    # A NaN is not within any tolerance.
    if not (found.logits <= TOLERANCE and found.probabilities <= TOLERANCE):
        raise ExportError(
            f"{path.name} must give the trained member's outputs within {TOLERANCE:g}, and differs "
            f"by {found.logits:.2g} in the logits and {found.probabilities:.2g} in the "
            f"probabilities: nothing was exported"
        )
    return found


def as_input(
    pixels: UInt8[Tensor, "batch height width channels"],
) -> Float[np.ndarray, "batch channels height width"]:
    """Pixels as an exported model takes them: [0, 1], channels first."""
    return np.ascontiguousarray(
        pixels.numpy().transpose(0, 3, 1, 2), dtype=np.float32
    ) / np.float32(255)


def _trained_logits(
    trained: Trained, name: str, pixels: UInt8[Tensor, "batch height width channels"]
) -> Float[Tensor, "batch classes"]:
    info = trained.data.info
    images = normalise(pixels, torch.tensor(info.mean), torch.tensor(info.std))
    with torch.no_grad():
        return trained.network.member(name, images.contiguous())


def _difference(run: Run, probe: Probe) -> Difference:
    found = torch.from_numpy(run(as_input(probe.pixels))).double()
    expected = probe.logits.double()
    if found.shape != expected.shape:
        raise ExportError(f"logits must be {list(expected.shape)}, not {list(found.shape)}")
    scale = max(1.0, float(expected.abs().max()))
    return Difference(
        float((found - expected).abs().max()) / scale,
        float((found.softmax(1) - expected.softmax(1)).abs().max()),
        len(expected),
    )
