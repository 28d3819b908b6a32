"""Networks of normalised colours, behind their normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class OfColours(nn.Module):
    """A network that was trained on normalised colours, given images in [0, 1].

    Args:
        mean: of each channel.
        std: likewise.
        read: gives the logits of what the network gives, where that is not them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        read: Callable[[Any], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))
        self._read = read

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "*members batch classes"]:
        given = self.network((images - self.mean) / self.std)  # grey is three channels
        logits: Tensor = given if self._read is None else self._read(given)
        return logits
