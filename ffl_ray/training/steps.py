"""A training's steps over the batches of an epoch, and its members' metrics between epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from ffl_ray.config.methods import method_of
from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.batches import Batch, EpochRequest, augmentation_of
from ffl_ray.data.class_balance import balance_of
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.data.shards import eval_steps
from ffl_ray.data.streaming.stream import StreamedImages
from ffl_ray.distill.recipe import Terms
from ffl_ray.distill.registry import LossTerms, loss_terms_of, recipe_of
from ffl_ray.training.confusions import Confusions, confusions
from ffl_ray.training.cuda_graphs import RecordedSteps
from ffl_ray.training.engine import (
    LossSums,
    Step,
    TrainedEpoch,
    TrainingStep,
    evaluate,
    member_logits,
    member_sums,
    train_epoch,
)
from ffl_ray.training.metrics import MemberMetrics, member_metrics, metric_sums, outcomes, scored
from ffl_ray.training.parted_step import (
    Parts,
    Phase,
    branch_parameters,
    trained_by,
    twins_in,
)
from ffl_ray.training.predictions import Predictions
from ffl_ray.training.recording import Recording
from ffl_ray.training.setup import Training

EVAL_BATCH = 500


def epoch_batches(training: Training, epoch: int, first_step: int = 0) -> Iterator[Batch]:
    """The worker's share of an epoch's training batches; epochs and steps count from 0."""
    config = training.config
    return training.train.train_batches(
        EpochRequest(
            batch_size=config.optim.batch_size,
            seed=config.seed,
            epoch=epoch,
            first_step=first_step,
            shard=training.shard,
            augmentation=augmentation_of(config.data, config.distill.view_policies),
            num_views=1 if config.branch_seeds else config.num_views,
            branch_seeds=config.branch_seeds,
            balance=balance_of(config.data, training.train.images.labels),
            indexed="image_indices" in method_of(config.distill).needs,
        )
    )


def train_on(
    training: Training,
    batches: Iterator[Batch],
    distill_weight: float | Tensor,
    *,
    sums: LossSums | None = None,
    between: Callable[[], None] = lambda: None,
    around: Callable[[TrainingStep], TrainingStep] = lambda step: step,
) -> TrainedEpoch:
    """The mean losses of a step on every batch, each made ready meanwhile; as `train_epoch`.

    Args:
        around: gives what takes the steps in the step's place.
    """
    step = around(epoch_step(training, distill_weight))
    batches = training.graphs.made_ahead(batches) if training.graphs else batches
    return train_epoch(step, batches, sums=sums, between=between)


def epoch_step(training: Training, distill_weight: float | Tensor) -> TrainingStep:
    """What takes the steps of one epoch, in the way that suits the device.

    Args:
        distill_weight: one for each schedule of terms, or one for all of them.
    """
    graphs = training.graphs
    if graphs is None:
        return step_of(training, distill_weight)
    graphs.distill_weight.copy_(torch.as_tensor(distill_weight, dtype=torch.float64))
    if graphs.steps is None:
        graphs.steps = RecordedSteps(
            step_of(training, graphs.distill_weight), graphs.captures, tunes=graphs.tunes
        )
    return graphs.steps


def step_of(training: Training, distill_weight: float | Tensor) -> Step:
    """One step after the other at this distill weight, whatever the device."""
    return Step(
        training.wrapped,
        training.optimizer,
        loss_terms_of(training.config.distill),
        distill_weight,
        training.precision,
        training.shard.world_size,
        training.network.after_step,
        training.clock if "share" in method_of(training.config.distill).needs else None,
        averages_gradients=training.shard.world_size > 1 and training.wrapped is training.network,
        parts=_parts(training),
    )


def _parts(training: Training) -> Parts:
    """What a step of the training's method is made of, where it is not one step of all."""
    recipe, settings = recipe_of(training.config.distill), training.config.distill
    network, takes = training.network, recipe.takes_step
    return Parts(
        trained=None if recipe.trains is None else trained_by(network, recipe.trains),
        takes=takes and (lambda output, labels, mean: takes(output, labels, settings, mean)),
        branches=branch_parameters(network) if takes else (),
        then=[
            Phase(
                _bound(phase.terms, settings),
                trained_by(network, phase.trains),
                twins_in(training.optimizer, place),
                phase.skips,
            )
            for place, phase in enumerate(recipe.then)
        ],
    )


def _bound(terms: Terms, settings: ResolvedDistill) -> LossTerms:
    return lambda output, labels: terms(output, labels, settings)


def measured(training: Training, images: DeviceImages | StreamedImages) -> dict[str, MemberMetrics]:
    """The metrics of every member on some images, over all workers; nothing on no images."""
    if not len(images.images):
        return {}
    batches = images.eval_batches(batch_size=EVAL_BATCH, shard=training.shard)
    sums_of = _evaluation(training)
    sums = evaluate(training.network, batches, sums_of, training.shard.world_size)
    return dict(zip(training.network.member_names, member_metrics(sums), strict=True))


class Examined(NamedTuple):
    """The members on some images: their metrics, what each makes of every image and by class."""

    metrics: dict[str, MemberMetrics]
    predictions: dict[str, Predictions]
    confusions: dict[str, Confusions]


def examined(training: Training, images: DeviceImages | StreamedImages) -> Examined:
    """The metrics of every member on some images, its predictions and, where they are kept,
    confusions, over all workers.
    """
    network, shard, count = training.network, training.shard, len(images.images)
    steps = eval_steps(count, EVAL_BATCH, shard)
    found = torch.zeros(len(network.member_names), count, 3, dtype=torch.float64)

    def sums_of(batch: Batch) -> Tensor:
        one = scored(member_logits(network, training.precision, batch), batch.labels)
        found[:, next(steps).taken] = outcomes(one).cpu()
        return metric_sums(one)

    batches = images.eval_batches(batch_size=EVAL_BATCH, shard=shard)
    sums = evaluate(network, batches, sums_of, shard.world_size)
    if shard.world_size > 1:
        everywhere = found.to(sums.device)
        dist.all_reduce(everywhere)
        found = everywhere.cpu()
    names, outcomes_of = network.member_names, found.numpy()
    return Examined(
        dict(zip(names, member_metrics(sums), strict=True)),
        {
            name: Predictions(one[:, 0] > 0, one[:, 1].astype(np.float32))
            for name, one in zip(names, outcomes_of, strict=True)
        },
        {
            name: _confusions(images, one)
            for name, one in zip(names, outcomes_of, strict=True)
            if training.config.compute.per_class
        },
    )


def _confusions(
    images: DeviceImages | StreamedImages, outcomes_of: Float64[np.ndarray, "images 3"]
) -> Confusions:
    """The confusions of a member with these outcomes."""

    def pixels_of(places: Int64[np.ndarray, "taken"]) -> UInt8[np.ndarray, "taken h w channels"]:
        taken: np.ndarray = images.images.take(torch.from_numpy(places)).pixels.cpu().numpy()
        return taken

    _, nll, predicted = outcomes_of.T
    labels = images.images.labels.cpu().numpy()
    return confusions(labels, predicted.astype(np.int64), nll.astype(np.float32), pixels_of)


def _evaluation(training: Training) -> Callable[[Batch], Tensor]:
    """What gives a batch's metric sums, in the way that suits the device."""
    sums_of, graphs = partial(member_sums, training.network, training.precision), training.graphs
    if graphs is None:
        return sums_of
    if graphs.evaluation is None:
        graphs.evaluation = Recording(graphs.captures, "evaluation", sums_of)
    return graphs.evaluation.run
