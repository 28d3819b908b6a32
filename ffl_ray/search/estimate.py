"""What training one config will take, from its network's outline alone: size, memory, disk."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ffl_ray.config import Config, FusionConfig, ModelConfig
from ffl_ray.models.network import FusionNetwork, build_network
from ffl_ray.models.outline import outlined
from ffl_ray.models.table import check_model

FLOAT_BYTES = 4
LABEL_BYTES = 8
# A tensor's name, header and alignment in a checkpoint: 412 of resnet20's, 428 of wrn16_2's.
TENSOR_OVERHEAD_BYTES = 430
BACKWARD_PER_FORWARD = 2
OUTLINE_BATCH = 2


class DataShape(NamedTuple):
    """What a training's cost depends on in its data.

    Attributes:
        image: channels, height and width.
        num_classes: of the labels.
        num_train: images to train on.
        num_val: images to validate on.
    """

    image: tuple[int, int, int]
    num_classes: int
    num_train: int
    num_val: int

    @property
    def resident_bytes(self) -> int:
        """All images on the device, a byte per pixel and channel, and their labels."""
        channels, height, width = self.image
        return (self.num_train + self.num_val) * (channels * height * width + LABEL_BYTES)


class NetworkSize(NamedTuple):
    """A network's sizes for one image shape.

    Attributes:
        parameters: trained numbers.
        buffers: other numbers that are stored, of batch norm.
        tensors: how many tensors hold both.
        macs: multiply-accumulates of one image through all members.
        saved_bytes: what the forward pass of one image keeps for the backward pass.
    """

    parameters: int
    buffers: int
    tensors: int
    macs: int
    saved_bytes: int


class TrainingCost(NamedTuple):
    """What one training takes.

    Attributes:
        parameters: of all members together.
        macs: multiply-accumulates of one image, forward, through all members.
        training_macs: the same for a training step: the backward pass takes twice the forward's.
        checkpoint_bytes: one checkpoint: weights and the optimiser's state.
        memory_bytes: of one worker at the end of a forward pass, with the gradients: weights,
            optimiser state, activations kept for its share of the batch, and the resident images.
    """

    parameters: int
    macs: int
    training_macs: int
    checkpoint_bytes: int
    memory_bytes: int


def training_cost(config: Config, data: DataShape, num_workers: int = 1) -> TrainingCost:
    """What training this config takes; nothing is computed for it.

    Activations count as float32: under bfloat16 autocast they are an upper bound. What kernels
    use inside (cuDNN's workspace, oneDNN's reordered weights) is not counted. Each of several
    workers holds the gradients twice: DistributedDataParallel has buckets of its own.

    Raises:
        SettingError: the settings of the network do not go together.
        RuntimeError: it can't take images of this shape.
    """
    size = network_size(config.model, config.fusion, data.image, data.num_classes)
    states = 1 if config.optim.momentum > 0 else 0
    stored = size.parameters * (1 + states) + size.buffers
    gradients = size.parameters * (1 if num_workers == 1 else 2)
    batch = -(-config.optim.batch_size // num_workers)
    return TrainingCost(
        parameters=size.parameters,
        macs=size.macs,
        training_macs=size.macs * (1 + BACKWARD_PER_FORWARD),
        checkpoint_bytes=FLOAT_BYTES * stored + TENSOR_OVERHEAD_BYTES * size.tensors * (1 + states),
        memory_bytes=FLOAT_BYTES * (stored + gradients)
        + batch * size.saved_bytes
        + data.resident_bytes,
    )


def training_costs(
    configs: Sequence[Config], data: DataShape, num_workers: int = 1
) -> list[TrainingCost]:
    """The cost of each config; a network that occurs again is not built again."""
    return [training_cost(config, data, num_workers) for config in configs]


@functools.lru_cache(maxsize=4096)
def network_size(
    model: ModelConfig,
    fusion: FusionConfig,
    image_shape: tuple[int, int, int],
    num_classes: int,
    device: str = "cpu",
) -> NetworkSize:
    """Build a network's outline and run it once.

    Args:
        device: where the outline lives, as `outlined` takes it.

    Raises:
        SettingError: the settings do not go together.
        RuntimeError: the network can't take such images.
    """
    check_model(Config(model=model, fusion=fusion))
    with outlined(device) as outline:
        network = build_network(
            model, fusion, image_shape=image_shape, num_classes=num_classes, seed=0
        )
        images = torch.empty(OUTLINE_BATCH, *image_shape)
        outline.macs = 0
        saved = _saved_bytes(network, images)
    parameters = list(network.parameters())
    buffers = list(network.buffers())
    return NetworkSize(
        parameters=sum(tensor.numel() for tensor in parameters),
        buffers=sum(tensor.numel() for tensor in buffers),
        tensors=len(parameters) + len(buffers),
        macs=outline.macs // OUTLINE_BATCH,
        saved_bytes=saved // OUTLINE_BATCH,
    )


def _saved_bytes(network: FusionNetwork, images: Tensor) -> int:
    """Bytes that a forward pass saves for the backward pass, each storage once."""
    kept: dict[int, torch.UntypedStorage] = {}
    weights = _storages(network)

    def note(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage

    network.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda _: torch.empty(0)):
        output = network(images)
    del output
    return sum(storage.nbytes() for storage in kept.values())


def _storages(network: nn.Module) -> set[int]:
    tensors = [*network.parameters(), *network.buffers()]
    return {tensor.untyped_storage()._cdata for tensor in tensors}
