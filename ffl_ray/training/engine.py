"""One epoch of training and one evaluation: PyTorch only, no host synchronisation inside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from ffl_ray.data.batches import Batch
from ffl_ray.distill.registry import LossTerms
from ffl_ray.distill.terms import total_loss
from ffl_ray.models.network import NetworkOutput
from ffl_ray.training.clock import Clock
from ffl_ray.training.gradients import average_gradients, drop_gradients, gathered
from ffl_ray.training.metrics import metric_sums, scored
from ffl_ray.training.parted_step import Parts, Phase, step_where
from ffl_ray.training.precision import Precision, in_float64
from ffl_ray.training.turns import next_turn, wait_for


class TrainedEpoch(NamedTuple):
    """Means over an epoch's examples, in nats; one `.i` entry for each branch."""

    losses: dict[str, float]
    images: int


class LossRow(NamedTuple):
    """The parts of a step's loss.

    Attributes:
        sums: over this worker's part of the batch: the total, each term, and the images.
        names: of the sums but the last.
    """

    sums: Float64[Tensor, "terms"]
    names: list[str]

    def and_of(self, later: LossRow) -> LossRow:
        """The parts of two losses on one batch, whose totals are added."""
        total, own = (self.sums[:1] + later.sums[:1]), self.sums[1:-1]
        sums = torch.cat([total, own, later.sums[1:]])
        return LossRow(sums, [*self.names, *later.names[1:]])


class Loss(NamedTuple):
    """What a step descends, and its parts.

    Attributes:
        total: what the gradient is of: the mean over the batch, scaled for several workers.
        row: its parts.
        taken: whether each branch takes the step; none: all do.
    """

    total: Float[Tensor, ""]
    row: LossRow
    taken: Bool[Tensor, "branches"] | None = None


class TrainingStep(Protocol):
    """What takes the steps of an epoch: a `Step`, or what stands for it."""

    @property
    def network(self) -> nn.Module:
        """The trained network."""
        ...

    @property
    def world_size(self) -> int:
        """How many workers take each step together."""
        ...

    def run(self, batch: Batch) -> LossRow:
        """Take a step on a batch."""
        ...


class Step(NamedTuple):
    """One step of the optimiser: what it needs beside a batch.

    Attributes:
        distill_weight: of the epoch, as `total_loss` takes it; a recorded step reads a tensor.
        clock: of the training, where the loss follows how much of it is done.
        averages_gradients: over the workers, where DistributedDataParallel does not.
        parts: which parameters take a step, and what follows it on the same batch.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    loss_terms: LossTerms
    distill_weight: float | Tensor
    precision: Precision
    world_size: int = 1
    after_step: Callable[[], None] = lambda: None
    clock: Clock | None = None
    averages_gradients: bool = False
    parts: Parts = Parts()

    def run(self, batch: Batch) -> LossRow:
        """Forward, backward, update; again for each phase of the method beside the first."""
        loss = self.forward(batch)
        self.backward(loss, self.parts.trained)
        row = loss.row
        for phase in self.parts.then:
            self.descend(loss.taken)
            loss = self.forward(batch, phase)
            self.backward(loss, phase.trained)
            phase.hand_over()
            row = row.and_of(loss.row)
        self.update(loss.taken)
        return row

    def forward(self, batch: Batch, phase: Phase | None = None) -> Loss:
        """The loss of a batch: of the first step on it, or of a further one.

        With several workers the gradient is the global batch's mean whatever share each worker
        has: gradients are averaged over workers, so each loss is scaled by its share first.
        """
        with self.precision.context():
            skips = (phase.skips,) if phase and phase.skips else ()
            output: NetworkOutput = self.network(batch.images, *skips)
        output = output.at_least_float32()._replace(
            image_indices=batch.indices,
            share=self.clock.share if self.clock else None,
            gather=partial(gathered, world_size=self.world_size, global_size=batch.global_size),
        )
        terms = (phase.loss_terms if phase else self.loss_terms)(output, batch.labels)
        total = total_loss(terms, self.distill_weight)
        values = torch.stack([total, *(term.value for term in terms.values())]).detach()
        count = batch.num_images
        sums = in_float64(torch.cat([values, values.new_ones(1)])) * count
        share = count / batch.global_size
        row = LossRow(sums, ["total", *terms])
        return Loss(total * (share * self.world_size), row, self._taken(output, batch))

    def _taken(self, output: NetworkOutput, batch: Batch) -> Tensor | None:
        if self.parts.takes is None:
            return None

        def mean(per_image: Tensor) -> Tensor:
            total = per_image.sum(dim=-1)
            if self.world_size > 1:
                dist.all_reduce(total)
            return total / batch.global_size

        with torch.no_grad():
            return self.parts.takes(output, batch.labels, mean)

    def backward(self, loss: Loss, trained: Collection[nn.Parameter] | None = None) -> None:
        """The gradient of every parameter.

        Args:
            trained: the only ones that keep theirs; none: all do.
        """
        torch.autograd.backward(loss.total)
        if trained is not None:
            drop_gradients(self.network, trained)
        if self.averages_gradients:
            average_gradients(self.network, self.world_size)

    def descend(self, taken: Bool[Tensor, "branches"] | None) -> None:
        """The optimiser's step.

        Args:
            taken: whether each branch takes it; none: all do.
        """
        if taken is None:
            self.optimizer.step()
        else:
            step_where(self.optimizer, self.parts.branches, taken)
        self.optimizer.zero_grad(set_to_none=True)

    def update(self, taken: Bool[Tensor, "branches"] | None = None) -> None:
        """The optimiser's step, and what follows it; as `descend`."""
        self.descend(taken)
        self.after_step()
        if self.clock:
            self.clock.tick()


class LossSums:
    """Running sums of an epoch on one worker: of each loss term over images, and of images.

    Args:
        names: of the sums but the last.
        sums: what an epoch that goes on had summed up before it was stopped.
    """

    def __init__(self, names: Sequence[str] = (), sums: Tensor | None = None) -> None:
        self.names = list(names)
        self.sums = sums

    def add(self, row: LossRow) -> None:
        """Add a step's."""
        self.names = row.names
        self.sums = row.sums if self.sums is None else self.sums + row.sums


def train_epoch(
    step: TrainingStep,
    batches: Iterable[Batch],
    *,
    sums: LossSums | None = None,
    between: Callable[[], None] = lambda: None,
) -> TrainedEpoch:
    """The mean losses of training on every batch once.

    Args:
        sums: of the steps of this epoch so far; they are kept up to date.
        between: called after each step, when its sums are added.
    """
    step.network.train()
    sums = LossSums() if sums is None else sums
    for batch in batches:
        sums.add(step.run(batch))
        between()
        next_turn()
    if sums.sums is None:
        raise ValueError("an epoch must hold at least one batch, not 0")
    if step.world_size > 1:
        dist.all_reduce(sums.sums)
    wait_for(sums.sums.device)
    *totals, images = sums.sums.tolist()
    losses = {name: value / images for name, value in zip(sums.names, totals, strict=True)}
    return TrainedEpoch(losses, round(images))


@torch.no_grad()
def member_sums(
    network: nn.Module, precision: Precision, batch: Batch
) -> Float64[Tensor, "members sums"]:
    """Metric sums of every member over a batch."""
    return metric_sums(scored(member_logits(network, precision, batch), batch.labels))


@torch.no_grad()
def member_logits(
    network: nn.Module, precision: Precision, batch: Batch
) -> Float[Tensor, "members batch classes"]:
    """Logits of every member on a batch, in float32."""
    with precision.context():
        output = network(batch.images)
    logits: Tensor = output.members.float()
    return logits


def evaluate(
    network: nn.Module,
    batches: Iterable[Batch],
    sums_of: Callable[[Batch], Tensor],
    world_size: int = 1,
) -> Float64[Tensor, "members sums"]:
    """Metric sums of every member over the batches of all workers."""
    network.eval()
    sums: Tensor | None = None
    for batch in batches:
        row = sums_of(batch)
        sums = row if sums is None else sums + row
        next_turn()
    if sums is None:
        raise ValueError("an evaluation must hold at least one batch, not 0")
    if world_size > 1:
        dist.all_reduce(sums)
    wait_for(sums.device)
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
