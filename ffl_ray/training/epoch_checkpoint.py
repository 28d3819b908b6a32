"""Checkpoints within an epoch: a training of days loses minutes when it is stopped, and nothing
when its machine was warned.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ffl_ray.errors import PreemptedError
from ffl_ray.training.checkpoint import dump_checkpoint
from ffl_ray.training.engine import LossSums
from ffl_ray.training.precision import float64_home
from ffl_ray.training.preemption import is_preempted
from ffl_ray.training.progress import Progress, UnfinishedEpoch, WorkerState
from ffl_ray.training.setup import Training

STATISTICS = ("running_mean", "running_var")
PACE_STEPS = 10
MEETING_EVERY_S = 2.0
MARK_READ_EVERY_S = 0.25


class EpochCheckpoints:
    """Checkpoints of one epoch, each after a finished step: every so often, and before a training
    stops because its machine is about to be taken away.

    One worker looks for its machine's mark by itself. Several must store after the same step,
    while their clocks differ and only one of them may have been warned. They meet after the first
    step, after ten more, and then about every two seconds: rank 0 says whether a checkpoint is due
    and at which step they meet next, and each says whether its machine goes. Storing changes
    nothing in the training: every worker's batch norm statistics are kept as they are, and
    averaged at the epoch's end as if nothing had been stored.

    Args:
        progress: as the epoch began, or went on.
        sums: of the losses; who takes the steps keeps them up to date.
        started: `time.perf_counter()` when the epoch began, less what it had taken before.
        write: stores a file; rank 0 alone calls it.
    """

    def __init__(
        self,
        training: Training,
        progress: Progress,
        sums: LossSums,
        *,
        started: float,
        write: Callable[[str, bytes], None],
    ) -> None:
        self._training = training
        self._progress = progress
        self._sums = sums
        interval_s = training.config.compute.checkpoint_interval_s
        self._interval_s = math.inf if interval_s is None else interval_s
        self._started = started
        self._shard = training.shard
        self._device = training.train.device
        self._write = write
        self._steps = self._first = progress.unfinished.steps_done
        self._stored_s = self._met_s = self._next_read_s = time.perf_counter()
        self._met = self._first
        self._next_meeting = self._first + 1

    def after_step(self) -> None:
        """Count a finished step, and store the training when it is time.

        Raises:
            PreemptedError: the machine, or that of another worker, is about to be taken away.
        """
        self._steps += 1
        if self._shard.world_size == 1:
            self._act(due=self._is_due(), preempted=self._is_warned())
        elif self._steps == self._next_meeting:
            self._meet()

    def _is_warned(self) -> bool:
        """Whether there is a mark, read four times a second: a step may take a millisecond."""
        now = time.perf_counter()
        if now < self._next_read_s:
            return False
        self._next_read_s = now + MARK_READ_EVERY_S
        return is_preempted()

    def _is_due(self) -> bool:
        return time.perf_counter() - self._stored_s >= self._interval_s

    def _act(self, *, due: bool, preempted: bool) -> None:
        if due or preempted:
            self._store()
        if preempted:
            self._wait_for_rank_0()
            raise PreemptedError(
                f"a machine of this training is about to be taken away; it is stored after step "
                f"{self._steps} of epoch {self._progress.epochs_done + 1} and goes on elsewhere"
            )

    def _store(self) -> None:
        epoch = UnfinishedEpoch(
            steps_done=self._steps,
            seconds=time.perf_counter() - self._started,
            names=self._sums.names,
            ranks=self._ranks(),
        )
        if self._shard.rank == 0:
            progress = self._progress._replace(unfinished=epoch)
            training = self._training
            state = dump_checkpoint(training.network, training.optimizer, progress)
            self._write("latest.pt", state)
        self._stored_s = time.perf_counter()

    def _wait_for_rank_0(self) -> None:
        """Return when it has stored: the first worker that fails has the others ended."""
        if self._shard.world_size > 1:
            done = torch.zeros(1, device=self._device)
            dist.all_reduce(done)
            done.tolist()

    def _ranks(self) -> list[WorkerState]:
        assert self._sums.sums is not None
        own = WorkerState(self._sums.sums.tolist(), {})
        if self._shard.world_size == 1:
            return [own]
        statistics = _statistics(self._training.network).items()
        own = own._replace(statistics={name: buffer.cpu() for name, buffer in statistics})
        found: list[WorkerState] = [own] * self._shard.world_size
        dist.all_gather_object(found, own)
        return found

    def _meet(self) -> None:
        """Have every worker do the same after this step, and know the step of the next meeting."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        says = [0, 0] if self._shard.rank else [int(self._is_due()), self._steps_ahead()]
        box = torch.tensor([int(is_preempted()), *says], device=self._device)
        dist.all_reduce(box)
        preempted, due, ahead = box.tolist()
        self._met, self._met_s = self._steps, time.perf_counter()
        self._next_meeting = self._steps + ahead
        self._act(due=bool(due), preempted=bool(preempted))

    def _steps_ahead(self) -> int:
        """How many steps until the next meeting; the first step of all is no measure."""
        if self._steps == self._first + 1:
            return PACE_STEPS
        per_step_s = (time.perf_counter() - self._met_s) / (self._steps - self._met)
        return max(1, math.ceil(min(self._interval_s, MEETING_EVERY_S) / per_step_s))


def restored_sums(training: Training, epoch: UnfinishedEpoch) -> LossSums:
    """The loss sums of an epoch so far; each worker's own batch norm statistics are put back.

    Other workers than those that stored it share what is known: the mean of the statistics, and
    all sums with rank 0.
    """
    if not epoch.steps_done:
        return LossSums()
    shard = training.shard
    sums = torch.tensor([rank.sums for rank in epoch.ranks], dtype=torch.float64)
    same = len(epoch.ranks) == shard.world_size
    own = sums[shard.rank] if same else sums.sum(0) * (shard.rank == 0)
    ranks = [epoch.ranks[shard.rank]] if same else epoch.ranks
    for name, buffer in _statistics(training.network).items():
        stored = [rank.statistics[name] for rank in ranks if name in rank.statistics]
        if stored:
            buffer.copy_(torch.stack(stored).mean(0))
    return LossSums(epoch.names, own.to(float64_home(training.train.device)))


def _statistics(network: nn.Module) -> dict[str, Tensor]:
    """What a worker's own batches leave in it alone."""
    return {name: b for name, b in network.named_buffers() if name.endswith(STATISTICS)}
