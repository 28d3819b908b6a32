"""One epoch of training and one evaluation: PyTorch only, no host synchronisation inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Float64
from torch import Tensor, nn

from ffl_ray.data.dataset import Labels
from ffl_ray.data.loader import Batch
from ffl_ray.distill.terms import Term, total_loss
from ffl_ray.metrics import metric_sums
from ffl_ray.models.network import NetworkOutput

LossTerms = Callable[[NetworkOutput, Labels], dict[str, Term]]


class TrainedEpoch(NamedTuple):
    """Means over an epoch's examples, in nats; one `.i` entry for each branch."""

    losses: dict[str, float]
    images: int


class LossSums:
    """Running sums of an epoch on one worker: of each loss term over images, and of images.

    Args:
        names: of the terms.
        sums: what an epoch that goes on had summed up, in float64 on the device.
    """

    def __init__(self, names: Sequence[str] = (), sums: Tensor | None = None) -> None:
        self.names = list(names)
        self.sums = sums

    def add(self, terms: dict[str, Tensor], images: int) -> None:
        """Add a step's mean of each term over some images."""
        self.names = list(terms)
        values = torch.stack(list(terms.values())).detach()
        row = torch.cat([values, values.new_ones(1)]).double() * images
        self.sums = row if self.sums is None else self.sums + row


class Precision(NamedTuple):
    """The number format of the forward pass."""

    device_type: str
    autocast: bool

    def context(self) -> torch.autocast:
        """Autocast to bfloat16, or nothing."""
        return torch.autocast(self.device_type, torch.bfloat16, enabled=self.autocast)


def train_epoch(
    network: nn.Module,
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    loss_terms: LossTerms,
    *,
    distill_weight: float,
    precision: Precision,
    world_size: int = 1,
    after_step: Callable[[], None] = lambda: None,
    sums: LossSums | None = None,
) -> TrainedEpoch:
    """Train on every batch once.

    With several workers the gradient is the global batch's mean whatever share each worker has:
    DistributedDataParallel averages over workers, so each loss is scaled by its share first.
    `after_step` ends every step. `sums` has what earlier steps of the epoch summed up, when it
    goes on after a stop, and is kept up to date.
    """
    network.train()
    sums = LossSums() if sums is None else sums
    for batch in batches:
        with precision.context():
            output: NetworkOutput = network(batch.images)
        terms = loss_terms(output.in_float32(), batch.labels)
        total = total_loss(terms, distill_weight)
        share = len(batch.labels) / batch.global_size
        torch.autograd.backward(total * (share * world_size))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        values = {name: term.value for name, term in terms.items()}
        sums.add({"total": total, **values}, len(batch.labels))
        after_step()
    if sums.sums is None:
        raise ValueError("an epoch must hold at least one batch, not 0")
    if world_size > 1:
        dist.all_reduce(sums.sums)
    *totals, images = sums.sums.tolist()
    losses = {name: value / images for name, value in zip(sums.names, totals, strict=True)}
    return TrainedEpoch(losses, round(images))


@torch.no_grad()
def evaluate(
    network: nn.Module, batches: Iterable[Batch], *, precision: Precision, world_size: int = 1
) -> Float64[Tensor, "members sums"]:
    """Metric sums of every member over the batches of all workers."""
    network.eval()
    sums: Tensor | None = None
    for batch in batches:
        with precision.context():
            output = network(batch.images)
        row = metric_sums(output.members.float(), batch.labels)
        sums = row if sums is None else sums + row
    if sums is None:
        raise ValueError("an evaluation must hold at least one batch, not 0")
    if world_size > 1:
        dist.all_reduce(sums)
    return sums


def average_running_statistics(network: nn.Module, world_size: int) -> None:
    """Give every worker the mean of all workers' batch norm statistics.

    Each worker's running mean and variance follow its own share of the batches; evaluation
    needs one network, and the mean uses what all of them have seen.
    """
    if world_size == 1:
        return
    for buffer in network.buffers():
        if buffer.is_floating_point():
            dist.all_reduce(buffer)
            buffer.div_(world_size)
