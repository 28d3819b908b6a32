"""The hooks of a training's method, called between its steps and after its epochs."""

from __future__ import annotations

from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor

from ffl_ray.data.batches import Batch
from ffl_ray.distill.hooks import Hook, Moment, Outputs
from ffl_ray.distill.registry import recipe_of
from ffl_ray.training.engine import LossRow, TrainingStep
from ffl_ray.training.setup import Training
from ffl_ray.training.steps import EVAL_BATCH


class HookedStep:
    """Steps with a method's hooks around each; on a GPU the steps alone are recorded.

    Args:
        step: takes them.
        moment: the first one's.
    """

    def __init__(
        self, step: TrainingStep, before: Hook | None, after: Hook | None, moment: Moment
    ) -> None:
        self.network = step.network
        self.world_size = step.world_size
        self._step, self._before, self._after, self._moment = step, before, after, moment

    def run(self, batch: Batch) -> LossRow:
        """Take a step on a batch."""
        moment = self._moment
        if self._before:
            self._before(moment)
        row = self._step.run(batch)
        if self._after:
            self._after(moment)
        self._moment = moment._replace(step=moment.step + 1)
        return row


def hooked(training: Training, epoch: int, first_step: int, step: TrainingStep) -> TrainingStep:
    """The step, with the hooks of the training's method around it, where it has any.

    Args:
        epoch: that is trained, from 0.
        first_step: that is taken in it.
    """
    recipe = recipe_of(training.config.distill)
    if not (recipe.before_step or recipe.after_step):
        return step
    moment = moment_of(training, epoch, first_step)
    return HookedStep(step, recipe.before_step, recipe.after_step, moment)


def after_epoch(training: Training, epoch: int) -> None:
    """Call what the training's method does after an epoch, counted from 0, if anything."""
    hook = recipe_of(training.config.distill).after_epoch
    if hook:
        hook(moment_of(training, epoch, training.num_steps))


def moment_of(training: Training, epoch: int, step: int) -> Moment:
    """What a hook is told of a moment."""
    return Moment(
        network=training.network,
        settings=training.config.distill,
        seed=training.config.seed,
        epoch=epoch,
        step=step,
        held_out=partial(_outputs, training),
        summed=partial(_summed, training.shard.world_size),
    )


@torch.no_grad()
def _outputs(training: Training) -> Outputs:
    training.network.eval()
    images, shard = training.held_out, training.shard
    for batch in images.eval_batches(batch_size=EVAL_BATCH, shard=shard):
        with training.precision.context():
            output = training.network(batch.images)
        yield output.at_least_float32(), batch.labels


def _summed(world_size: int, tensor: Tensor) -> Tensor:
    if world_size > 1:
        dist.all_reduce(tensor)
    return tensor
