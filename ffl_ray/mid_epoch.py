"""Checkpoints within an epoch: a training of days loses minutes when it is stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ffl_ray.checkpoint import Part, Progress, RankPart, dump_checkpoint
from ffl_ray.data.shards import Shard
from ffl_ray.engine import LossSums

STATISTICS = ("running_mean", "running_var")
PACE_STEPS = 10


class MidEpoch:
    """Stores a training every so many seconds of an epoch, after a finished step.

    Several workers must store after the same step, and their clocks differ: after the first
    ten steps, and after each checkpoint, rank 0 says at which step the next one is due. Storing
    changes nothing in the training: every worker's batch norm statistics are kept as they are,
    and averaged at the epoch's end as if nothing had been stored.

    Args:
        progress: as the epoch began, or went on.
        interval_s: none: nothing is stored within an epoch.
        started: `time.perf_counter()` when the epoch began, less what it had taken before.
        write: stores a file; rank 0 alone calls it.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        progress: Progress,
        sums: LossSums,
        *,
        interval_s: float | None,
        started: float,
        shard: Shard,
        device: torch.device,
        write: Callable[[str, bytes], None],
    ) -> None:
        self._network = network
        self._optimizer = optimizer
        self._progress = progress
        self._sums = sums
        self._interval_s = interval_s
        self._started = started
        self._shard = shard
        self._device = device
        self._write = write
        self._steps = first = progress.part.steps_done if progress.part else 0
        self._begun = (first, time.perf_counter())
        self._stored_s = time.perf_counter()
        self._next_step = first + PACE_STEPS
        self._pace_known = False

    def after_step(self) -> None:
        """Count a finished step, and store the training when it is time."""
        self._steps += 1
        if self._interval_s is None:
            return
        if self._shard.world_size == 1:
            if time.perf_counter() - self._stored_s >= self._interval_s:
                self._store()
        elif self._steps == self._next_step:
            if self._pace_known:
                self._store()
            self._agree(self._interval_s)

    def _store(self) -> None:
        part = Part(
            steps_done=self._steps,
            seconds=time.perf_counter() - self._started,
            names=self._sums.names,
            ranks=self._ranks(),
        )
        if self._shard.rank == 0:
            progress = self._progress._replace(part=part)
            self._write("latest.pt", dump_checkpoint(self._network, self._optimizer, progress))
        self._stored_s = time.perf_counter()

    def _ranks(self) -> list[RankPart]:
        assert self._sums.sums is not None
        own = RankPart(self._sums.sums.tolist(), {})
        if self._shard.world_size == 1:
            return [own]
        own = own._replace(statistics={n: b.cpu() for n, b in _statistics(self._network).items()})
        found: list[RankPart] = [own] * self._shard.world_size
        dist.all_gather_object(found, own)
        return found

    def _agree(self, interval_s: float) -> None:
        """Have rank 0 say at which step the next checkpoint is due."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        per_step_s = (time.perf_counter() - self._begun[1]) / (self._steps - self._begun[0])
        box = torch.tensor([math.ceil(interval_s / per_step_s)], device=self._device)
        dist.broadcast(box, src=0)
        self._pace_known = True
        self._next_step = self._steps + max(1, int(box))


def restore_part(
    network: nn.Module, part: Part | None, shard: Shard, device: torch.device
) -> LossSums:
    """The loss sums of an epoch in flight; each worker's own batch norm statistics are put back.

    Other workers than those that stored it share what is known: the mean of the statistics, and
    all sums with rank 0.
    """
    if part is None:
        return LossSums()
    sums = torch.tensor([rank.sums for rank in part.ranks], dtype=torch.float64)
    same = len(part.ranks) == shard.world_size
    own = sums[shard.rank] if same else sums.sum(0) * (shard.rank == 0)
    ranks = [part.ranks[shard.rank]] if same else part.ranks
    for name, buffer in _statistics(network).items():
        stored = [rank.statistics[name] for rank in ranks if name in rank.statistics]
        if stored:
            buffer.copy_(torch.stack(stored).mean(0))
    return LossSums(part.names, own.to(device))


def _statistics(network: nn.Module) -> dict[str, Tensor]:
    """What a worker's own batches leave in it alone."""
    return {name: b for name, b in network.named_buffers() if name.endswith(STATISTICS)}
