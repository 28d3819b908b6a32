"""Hooks of a method: what it does beside its loss, before a step, after it, and after an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.data.seeds import step_seed
from ffl_ray.models.network import FusionNetwork, NetworkOutput

Outputs = Iterator[tuple[NetworkOutput, Labels]]


class Moment(NamedTuple):
    """A moment of a training, between two steps: the same on every worker.

    A hook runs on every worker, and must leave the same weights on each: it knows what the moment
    says, and of the images what all workers have `summed`. What it writes lies in the network's
    parameters and buffers, which checkpoints hold: a training that goes on is the one that was
    never stopped. On a GPU it runs between recorded steps, never as a part of one: it may decide
    by the numbers here, and writes in place.

    Attributes:
        epoch: epochs finished before the one that is trained, or after an epoch was.
        step: of the epoch: the one that comes or was just taken, from 0; after an epoch how many
            there were.
        held_out: gives the network's outputs and the labels of the worker's share of the images
            that are not trained on, batch by batch, in evaluation mode and without gradients.
        summed: adds up all workers' tensors.
    """

    network: FusionNetwork
    settings: ResolvedDistill
    seed: int
    epoch: int
    step: int
    held_out: Callable[[], Outputs]
    summed: Callable[[Tensor], Tensor]

    @property
    def generator(self) -> torch.Generator:
        """Random numbers of this moment, the same on every worker and when it comes again."""
        place = step_seed(self.seed, self.epoch, self.step)
        return torch.Generator().manual_seed(place % 2**63)


Hook = Callable[[Moment], None]
