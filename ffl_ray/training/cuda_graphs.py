"""CUDA graphs of training steps, and the next batch made while one runs.

A step of a small network is a thousand kernels of microseconds, and launching each costs the host
as long. Recorded once as a CUDA graph, a step is one launch (PyTorch notes, "CUDA graphs",
whole-network capture).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import torch

from ffl_ray.data.batches import Batch
from ffl_ray.models.network import FusionNetwork
from ffl_ray.training.engine import Loss, Step

WARM_UP_STEPS = 3
LOG = logging.getLogger(__name__)


def can_be_recorded(
    device: torch.device, network: FusionNetwork, optimizer: torch.optim.Optimizer, workers: int
) -> bool:
    """Whether a step does the same on the host each time.

    Averaged weights count their steps on the host, AdamW refuses to be recorded, and several
    workers wait for each other.
    """
    alike = network.mean_teachers is None and isinstance(optimizer, torch.optim.SGD)
    return device.type == "cuda" and workers == 1 and alike


class CudaGraphs:
    """The CUDA graphs of one training, an epoch's after the other's in the same memory.

    What can't be recorded (a network that asks the device for a value) is not tried again.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self.refused = False

    def record(self, step: Step, batch: Batch) -> RecordedStep | None:
        """A step as a graph; None where it can't be one: a failed record has computed nothing."""
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        try:
            return RecordedStep(step, batch, self._pool)
        except RuntimeError as error:
            self.refused = True
            step.optimizer.zero_grad(set_to_none=True)
            LOG.info("steps are not recorded as a CUDA graph: %s", error)
            return None


class RecordedEpoch:
    """What takes the steps of one epoch: the first few one by one, and the others by a graph.

    Learning rate and distill weight are constant within an epoch and become part of the graph.
    """

    def __init__(self, step: Step, graphs: CudaGraphs) -> None:
        self.network = step.network
        self.world_size = step.world_size
        self._step = step
        self._graphs = graphs
        self._recorded: RecordedStep | None = None
        self._done = 0

    def run(self, batch: Batch) -> Loss:
        """Take a step on a batch of this epoch."""
        self._done += 1
        if self._recorded is None and self._done > WARM_UP_STEPS and not self._graphs.refused:
            self._recorded = self._graphs.record(self._step, batch)
        if self._recorded is None or not self._recorded.fits(batch):
            return self._step.run(batch)
        return self._recorded.replay(batch)


class RecordedStep:
    """One step as a CUDA graph on a batch of its own, which every replay fills first."""

    def __init__(self, step: Step, batch: Batch, pool: Any) -> None:
        self._batch = Batch(batch.images.clone(), batch.labels.clone(), batch.global_size)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self._loss = step.run(self._batch)

    def fits(self, batch: Batch) -> bool:
        """Whether a batch has the recorded one's shapes: an epoch's last one may not."""
        return (
            batch.global_size == self._batch.global_size
            and batch.images.shape == self._batch.images.shape
            and batch.labels.shape == self._batch.labels.shape
        )

    def replay(self, batch: Batch) -> Loss:
        """Take the recorded step on another batch."""
        self._batch.images.copy_(batch.images)
        self._batch.labels.copy_(batch.labels)
        self._graph.replay()
        # The next replay writes into the same memory.
        return self._loss._replace(sums=self._loss.sums.clone())


def prefetched(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches, each made on a stream of its own while the step before it runs.

    On a CPU there is nobody to make it meanwhile, and batches pass as they are.
    """
    if device.type != "cuda":
        yield from batches
        return
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    here = torch.cuda.current_stream(device)
    aside.wait_stream(here)

    def make() -> tuple[Batch, torch.cuda.Event] | None:
        with torch.cuda.stream(aside):
            batch = next(batches, None)
            return None if batch is None else (batch, aside.record_event())

    ahead = make()
    while ahead is not None:
        batch, ready = ahead
        here.wait_event(ready)
        for tensor in (batch.images, batch.labels):
            # Its memory is kept until the step is done with it.
            tensor.record_stream(here)
        ahead = make()
        yield batch
