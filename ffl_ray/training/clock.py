"""How much of a training is done, for losses that follow it."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from ffl_ray.config.settings import OptimConfig
from ffl_ray.data.shards import num_train_steps
from ffl_ray.training.precision import float64_home


class Clock:
    """The steps of a training so far, counted where its sums are, where recorded steps read them.

    Args:
        num_images: of an epoch.
        world_size: how many workers take each step together.
    """

    def __init__(
        self, optim: OptimConfig, num_images: int, world_size: int, device: torch.device
    ) -> None:
        self._epochs = optim.epochs
        self._steps_per_epoch = num_train_steps(num_images, optim.batch_size, world_size)
        self._done = torch.zeros((), dtype=torch.int64, device=float64_home(device))

    @property
    def share(self) -> Float64[Tensor, ""]:
        """Of the training that is done: from 0, and below 1 in every step."""
        return self._done.double() / (self._steps_per_epoch * self._epochs)

    def set(self, epoch: int, steps: int) -> None:
        """Say how many epochs are done, and how many steps of the next one."""
        self._done.fill_(epoch * self._steps_per_epoch + steps)

    def tick(self) -> None:
        """Count a step."""
        self._done += 1
