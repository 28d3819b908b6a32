"""The cost of training one config, from its network's outline alone: size, memory, disk."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import resolved_distill, with_reachable_objective
from ffl_ray.config.settings import (
    DistillConfig,
    FusionConfig,
    ResolvedConfig,
    ResolvedData,
    ResolvedDistill,
    ResolvedModel,
)
from ffl_ray.data.placement import streams
from ffl_ray.data.streaming.pool import STEPS_AHEAD
from ffl_ray.distill.networks import build_trained
from ffl_ray.distill.registry import recipe_of
from ffl_ray.models.cost import MacCounter
from ffl_ray.models.network import FusionNetwork, NetworkOutput
from ffl_ray.models.outline import Outline, outlined
from ffl_ray.models.registry import check_all_images, check_model
from ffl_ray.training.steps import EVAL_BATCH

FLOAT_BYTES = 4
LABEL_BYTES = 8
# A tensor's name, header and alignment in a checkpoint: 412 of resnet20's, 428 of wrn16_2's.
TENSOR_OVERHEAD_BYTES = 430
BACKWARD_PER_FORWARD = 2
MOMENTS = 2  # that Adam keeps of each parameter
OUTLINE_BATCH = 2
LIVE_MAPS = 3


class DataSize(NamedTuple):
    """The sizes of the data that a training's cost depends on, beside the images' shape."""

    num_classes: int
    num_train: int
    num_val: int


class NetworkSize(NamedTuple):
    """A network's sizes for one image shape.

    Attributes:
        parameters: trained numbers.
        buffers: other numbers that are stored, of batch norm and of averaged weights.
        tensors: how many tensors hold both.
        macs: multiply-accumulates of one image through all members.
        saved_bytes: what the forward pass of one image keeps for the backward pass.
        largest_bytes: the largest single tensor among these.
        helper_macs: of one image through the method's helpers and losses.
        pair_macs: the same of one image with another of its batch, where a loss compares them.
        constant_macs: of macs those of members that learn nothing by gradient: mean teachers.
        helper_constant_macs: of helper_macs those without a gradient: decoders as they are.
    """

    parameters: int
    buffers: int
    tensors: int
    macs: int
    saved_bytes: int
    largest_bytes: int
    helper_macs: int
    pair_macs: int
    constant_macs: int
    helper_constant_macs: int


class TrainingCost(NamedTuple):
    """The cost of one training.

    Attributes:
        parameters: of all members together.
        macs: multiply-accumulates of one image, forward, through all members.
        training_macs: the same and the helpers' for a training step: the backward pass takes twice
            the forward's, where there is one, and each phase has both.
        checkpoint_bytes: one checkpoint: weights and the optimiser's state, without the 20 kB or
            so of each member's outcomes by class that the last one holds as well.
        memory_bytes: of one worker, at most: weights, optimiser state, the images it holds, and
            either the gradients and the activations kept for its share of the batch, or what
            evaluating a batch needs, whichever is more.
    """

    parameters: int
    macs: int
    training_macs: int
    checkpoint_bytes: int
    memory_bytes: int


def training_cost(config: ResolvedConfig, data: DataSize, num_workers: int = 1) -> TrainingCost:
    """The cost of training this config; nothing is computed for it.

    Activations count as float32: under bfloat16 autocast they are an upper bound. What kernels
    use inside (cuDNN's workspace, oneDNN's reordered weights) is not counted. Each of several
    workers holds the gradients twice: DistributedDataParallel has buckets of its own. While
    evaluating, three maps of the largest kind are alive at a time: a layer's input, its output,
    and a shortcut.

    Raises:
        SettingError: the settings of the network do not go together.
        RuntimeError: it can't take images of this shape.
    """
    image = image_shape(config.data)
    size = network_size(
        config.model, config.fusion, network_distill(config), image, data.num_classes
    )
    states = MOMENTS if config.optim.optimizer == "adamw" else int(config.optim.momentum > 0)
    phases = recipe_of(config.distill).then
    states += MOMENTS * sum(phase.rule is not None for phase in phases)
    stored = size.parameters * (1 + states) + size.buffers
    gradients = size.parameters * (1 if num_workers == 1 else 2)
    batch = -(-config.optim.batch_size // num_workers)
    training = FLOAT_BYTES * gradients + batch * size.saved_bytes
    evaluating = EVAL_BATCH * LIVE_MAPS * size.largest_bytes
    num_images = data.num_train + data.num_val
    resident = num_images
    if streams(config.data, num_images):
        resident = STEPS_AHEAD * max(batch, EVAL_BATCH)
    images = num_images * LABEL_BYTES + resident * math.prod(image)
    return TrainingCost(
        parameters=size.parameters,
        macs=size.macs,
        training_macs=_training_macs(size, config.optim.batch_size, steps=1 + len(phases)),
        checkpoint_bytes=FLOAT_BYTES * stored + TENSOR_OVERHEAD_BYTES * size.tensors * (1 + states),
        memory_bytes=FLOAT_BYTES * stored + max(training, evaluating) + images,
    )


def _training_macs(size: NetworkSize, batch_size: int, steps: int) -> int:
    forward = steps * size.macs + size.helper_macs + batch_size * size.pair_macs
    constant = steps * size.constant_macs + size.helper_constant_macs
    return forward + BACKWARD_PER_FORWARD * (forward - constant)


def training_costs(
    configs: Sequence[ResolvedConfig], data: DataSize, num_workers: int = 1
) -> list[TrainingCost]:
    """The cost of each config; a network that occurs again is not built again."""
    return [training_cost(config, data, num_workers) for config in configs]


def network_distill(config: ResolvedConfig) -> ResolvedDistill:
    """The settings of a method that change the network or what one step gives it.

    They are all settings where it makes helpers, which may be made by any of them.
    """
    if recipe_of(config.distill).helpers is not None:
        return config.distill
    kept = ("method", "views", "own_batches", "view_policies", "gates", "averaged_gradient")
    named = DistillConfig(**{name: getattr(config.distill, name) for name in kept})
    return resolved_distill(named)


@functools.lru_cache(maxsize=4096)
def network_size(
    model: ResolvedModel,
    fusion: FusionConfig,
    distill: ResolvedDistill,
    image: tuple[int, int, int],
    num_classes: int,
    device: str = "cpu",
) -> NetworkSize:
    """The sizes of a network, from its outline that is built and run once.

    Args:
        image: channels, height and width.
        device: where the outline lives, as `outlined` takes it.

    Raises:
        SettingError: the settings do not go together.
        RuntimeError: the network can't take such images.
    """
    data = ResolvedData(images_per_class=1)  # its images do not count here
    config = with_reachable_objective(
        ResolvedConfig(data=data, model=model, fusion=fusion, distill=distill)
    )
    check_model(config)
    network, members, helpers, pairs, saved = _run_outline(config, image, num_classes, device)
    parameters = [tensor for tensor in network.parameters() if tensor.requires_grad]
    averages = [tensor for tensor in network.parameters() if not tensor.requires_grad]
    buffers = [*averages, *network.buffers()]
    return NetworkSize(
        parameters=sum(tensor.numel() for tensor in parameters),
        buffers=sum(tensor.numel() for tensor in buffers),
        tensors=len(parameters) + len(buffers),
        macs=members.macs // OUTLINE_BATCH,
        saved_bytes=sum(saved) // OUTLINE_BATCH,
        largest_bytes=max(saved) // OUTLINE_BATCH,
        helper_macs=helpers.macs // OUTLINE_BATCH - pairs * OUTLINE_BATCH,
        pair_macs=pairs,
        constant_macs=members.constant // OUTLINE_BATCH,
        helper_constant_macs=helpers.constant // OUTLINE_BATCH,
    )


class _Macs(NamedTuple):
    macs: int
    constant: int


def _run_outline(
    config: ResolvedConfig, image: tuple[int, int, int], num_classes: int, device: str
) -> tuple[FusionNetwork, _Macs, _Macs, int, list[int]]:
    """A network's outline after a forward pass, and what was counted, of one batch.

    MACs of its members, and of its helpers and losses; of these last those of one image with
    another; saved bytes.
    """
    model = config.model.model_copy(update={"pretrained": False})  # of equal size, not downloaded
    config = config.model_copy(update={"model": model})
    check_all_images(model, image)
    with outlined(device) as outline:
        network = build_trained(config, image_shape=image, num_classes=num_classes).train()
        helped = bool(network.helpers) and device == "cpu"
        outline.macs = outline.constant_macs = 0
        with MacCounter() as counter, _saved_bytes(network) as saved:
            output = network(_images(config, image, OUTLINE_BATCH))
            members = _counted(outline, counter)
            if helped:
                _call_helpers(config.distill, output)
            both = _counted(outline, counter)
        helpers = _Macs(both.macs - members.macs, both.constant - members.constant)
        pairs = 0
        if helped:
            output = network(_images(config, image, 2 * OUTLINE_BATCH))
            outline.macs = outline.constant_macs = 0
            with MacCounter() as counter:
                _call_helpers(config.distill, output)
            # It grows with the square of a batch where a loss compares the batch's images.
            more = _counted(outline, counter).macs - 2 * helpers.macs
            pairs = more // (2 * OUTLINE_BATCH**2)
    return network, members, helpers, pairs, saved


def _images(config: ResolvedConfig, image: tuple[int, int, int], count: int) -> Tensor:
    views = config.num_views
    return torch.empty(*[views] * (views > 1), count, *image)


def _counted(*counters: Outline | MacCounter) -> _Macs:
    """What counters have counted together so far."""
    return _Macs(sum(one.macs for one in counters), sum(one.constant_macs for one in counters))


def _call_helpers(distill: ResolvedDistill, output: NetworkOutput) -> None:
    """Run the losses of a method's step and its phases: they are what calls the helpers."""
    labels = torch.zeros(output.branches.shape[1], dtype=torch.int64)
    told = output._replace(image_indices=labels, share=torch.zeros((), dtype=torch.float64))
    recipe = recipe_of(distill)
    for terms in (recipe.terms, *(phase.terms for phase in recipe.then)):
        terms(told, labels, distill)


@contextmanager
def _saved_bytes(network: FusionNetwork) -> Iterator[list[int]]:
    """Bytes of what is saved inside for the backward pass, each storage once; known afterwards.

    Weights that are averaged in the pass are not its activations.
    """
    kept: dict[int, torch.UntypedStorage] = {}
    weights = _storages(network)
    averaged = network.averages.parameters() if network.averages is not None else ()
    shapes = {tuple(sorted(weight.shape)) for weight in averaged}  # a linear layer transposes
    saved: list[int] = []

    def note(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights and tuple(sorted(tensor.shape)) not in shapes:
            kept[storage._cdata] = storage

    with torch.autograd.graph.saved_tensors_hooks(note, lambda _: torch.empty(0)):
        yield saved
    saved += [storage.nbytes() for storage in kept.values()]


def _storages(network: nn.Module) -> set[int]:
    tensors = [*network.parameters(), *network.buffers()]
    return {tensor.untyped_storage()._cdata for tensor in tensors}
