"""What a network draws as it trains: dropout, stochastic depth, what layers of its own ask for."""

from __future__ import annotations

import torch

from ffl_ray.data.batches import Batch
from ffl_ray.data.seeds import step_seed
from ffl_ray.training.engine import LossRow, TrainingStep
from ffl_ray.training.setup import Training

MOST_WORKERS = 1_009


class SeededStep:
    """Steps of an epoch, before each of which torch's generators are where it has them.

    A training that goes on draws what it would have drawn, no two workers draw the same, and of
    trainings that share a process none draws what another one has left. A recorded step reads its
    generator's seed anew whenever it is replayed.

    Args:
        training: whose seed, worker and device it is.
        epoch: that is trained, from 0.
        first_step: that is taken in it.
        step: takes them.
    """

    def __init__(self, training: Training, epoch: int, first_step: int, step: TrainingStep) -> None:
        self.network = step.network
        self.world_size = step.world_size
        self._step, self._epoch, self._next = step, epoch, first_step
        self._seed, self._rank = training.config.seed, training.shard.rank
        self._device = training.train.device

    def run(self, batch: Batch) -> LossRow:
        """Take a step on a batch."""
        place = step_seed(self._seed, self._epoch, self._next)
        seed_generators((place * MOST_WORKERS + self._rank) % 2**63, self._device)
        self._next += 1
        return self._step.run(batch)


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed torch's global generators of the CPU and of one device, and no other GPU's."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
