"""The fast path beside an obvious slow one: the same training, step by step."""

import functools
from collections.abc import Iterator
from itertools import chain, islice

import pytest
import torch
import torch.nn.functional as F
from support.helpers import MemorySession, small_config
from torch import Tensor

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.data.augment import draw
from ffl_ray.data.batches import EpochRequest
from ffl_ray.data.dataset import DatasetInfo
from ffl_ray.data.loader import load_train_val
from ffl_ray.training.setup import new_network, prepare
from ffl_ray.training.steps import step_of

STEPS, BATCH, WEIGHT, LR = 50, 5, 0.7, 0.01  # more than an epoch, whose last batch is smaller


def config_of(seed: int) -> ResolvedConfig:
    return small_config(
        model__mix="2*resnet8", data__fraction=0.1, distill__temperature=3.0, seed=seed
    )


def plainly_augmented(image: Tensor, shift: Tensor, flip: bool, info: DatasetInfo) -> Tensor:
    """One image [height, width, channels]: normalised, padded by reflection, cropped, mirrored."""
    height, width, _ = image.shape
    padding = info.crop_padding
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (info.mean, info.std))
    pixels = (image.permute(2, 0, 1).double() / 255 - mean) / std
    padded = F.pad(pixels[None], (padding,) * 4, mode="reflect")[0]
    top, left = (int(value) + padding for value in shift)
    cropped = padded[:, top : top + height, left : left + width]
    return cropped.flip(2) if flip else cropped


@functools.cache
def plain_batches(seed: int) -> list[tuple[Tensor, Tensor]]:
    """Images and labels of every step."""
    batches = list(islice(_batches(seed), STEPS))
    assert 1 < min(len(labels) for _, labels in batches) < BATCH  # the last one of an epoch
    return batches


def _batches(seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels of one step after the other, image by image."""
    data = load_train_val(config_of(seed).data)
    for epoch in range(STEPS):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(data.train), generator=generator)
        info = data.info
        draws = draw(len(order), padding=info.crop_padding, flip=info.flip, generator=generator)
        for start in range(0, len(order), BATCH):
            places = range(start, min(start + BATCH, len(order)))
            if len(places) < 2:
                break
            images = [
                plainly_augmented(
                    data.train.pixels[order[i]], draws.shifts[i], bool(draws.flips[i]), info
                )
                for i in places
            ]
            yield torch.stack(images), data.train.labels[order[places.start : places.stop]]


def plain_loss(network: torch.nn.Module, images: Tensor, labels: Tensor, t: float) -> Tensor:
    """FFL's loss from its formula: three cross-entropies and three KL divergences."""
    output = network(images)
    first, second = output.branches
    fused, ensemble = output.fused, (first + second) / 2

    def kl(student: Tensor, teacher: Tensor) -> Tensor:
        target = F.softmax(teacher.detach() / t, dim=1) + 1e-7
        return t * t * (target * (target.log() - F.log_softmax(student / t, 1))).sum(1).mean()

    hard = sum((F.cross_entropy(x, labels) for x in (first, second, fused)), torch.zeros(()))
    return hard + WEIGHT * (kl(first, fused) + kl(second, fused) + kl(fused, ensemble))


def smoothed(network: torch.nn.Module) -> None:
    """SiLU in place of every ReLU: no kink, where a rounding error turns a gradient."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.ReLU):
                setattr(module, name, torch.nn.SiLU())


def plain_training(seed: int, steps: int, *, smooth: bool) -> list[Tensor]:
    """So many steps in float64 and memory order NCHW, with an optimiser of plain loops."""
    config = config_of(seed)
    data = load_train_val(config.data)
    network = new_network(config, data).double().train()
    if smooth:
        smoothed(network)
    groups = network.parameter_groups(
        weight_decay=config.optim.weight_decay,
        fusion_weight_decay=config.optim.fusion_weight_decay,
    )
    optimizer = torch.optim.SGD(
        groups, lr=LR, momentum=config.optim.momentum, nesterov=True, foreach=False
    )
    for images, labels in plain_batches(seed)[:steps]:
        optimizer.zero_grad()
        loss = plain_loss(network, images, labels, 3.0)
        torch.autograd.backward(loss)
        optimizer.step()
    return [p.detach() for p in network.parameters()]


def fast_training(seed: int, steps: int, kind: torch.dtype, *, smooth: bool) -> list[Tensor]:
    """So many steps as every training takes them, in this number format."""
    config = config_of(seed)
    training = prepare(config, MemorySession())
    training.network.to(kind).train()
    images = training.train
    images.mean, images.std = (torch.tensor(v, dtype=kind) for v in images.info[1:3])
    if smooth:
        smoothed(training.network)
    for group in training.optimizer.param_groups:
        group["lr"] = LR
    step = step_of(training, WEIGHT)
    batches = chain.from_iterable(
        images.train_batches(EpochRequest(batch_size=BATCH, seed=seed, epoch=epoch))
        for epoch in range(steps)
    )
    for batch in islice(batches, steps):
        step.run(batch)
    return [p.detach() for p in training.network.parameters()]


# Rounding errors grow by less than ten in 50 steps: to 10^-15. A kink of ReLU, where one turns a
# gradient, is met by one in 10^7 activations within 10^-7 of it in float32, by none in float64.
@pytest.mark.parametrize("smooth", [False, True], ids=["relu", "smooth"])
@pytest.mark.parametrize("seed", range(4))
def test_fifty_steps_equal_those_of_a_plain_training(seed: int, smooth: bool) -> None:
    fast = fast_training(seed, STEPS, torch.float64, smooth=smooth)
    plain = plain_training(seed, STEPS, smooth=smooth)

    for ours, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_a_step_in_float32_is_the_plain_one_within_a_ten_thousandth(seed: int) -> None:
    fast = fast_training(seed, 1, torch.float32, smooth=False)
    plain = plain_training(seed, 1, smooth=False)

    for ours, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours.double(), expected, atol=1e-4, rtol=0)
