"""The fast path beside an obvious slow one: the same training, step by step."""

import pytest
import torch
import torch.nn.functional as F
from support.helpers import MemorySession, small_config
from torch import Tensor

from ffl_ray.config.settings import Config
from ffl_ray.data.augment import draw
from ffl_ray.data.loader import load_train_val
from ffl_ray.training.setup import new_network, prepare, step_of

STEPS, BATCH, WEIGHT, LR = 50, 32, 0.7, 0.01


def plainly_augmented(image: Tensor, shift: Tensor, flip: bool, config: Config) -> Tensor:
    """One image [height, width, channels]: normalised, padded by reflection, cropped, mirrored."""
    info = load_train_val(config.data).info
    height, width, _ = image.shape
    padding = info.crop_padding
    pixels = image.permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (info.mean, info.std))
    padded = F.pad(((pixels - mean) / std)[None], (padding,) * 4, mode="reflect")[0]
    top, left = (int(value) + padding for value in shift)
    cropped = padded[:, top : top + height, left : left + width]
    return cropped.flip(2) if flip else cropped


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


def plain_training(config: Config, *, smooth: bool) -> list[Tensor]:
    """Fifty steps in memory order NCHW, image by image, with an optimiser of plain loops."""
    data = load_train_val(config.data)
    network = new_network(config, data).train()
    if smooth:
        smoothed(network)
    groups = network.parameter_groups(
        weight_decay=config.optim.weight_decay,
        fusion_weight_decay=config.optim.fusion_weight_decay,
    )
    optimizer = torch.optim.SGD(
        groups, lr=LR, momentum=config.optim.momentum, nesterov=True, foreach=False
    )
    done = 0
    for epoch in range(STEPS):
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(data.train), generator=generator)
        info = data.info
        draws = draw(len(order), padding=info.crop_padding, flip=info.flip, generator=generator)
        for start in range(0, len(order), BATCH):
            places = range(start, min(start + BATCH, len(order)))
            if done == STEPS or len(places) < 2:
                break
            images = torch.stack(
                [
                    plainly_augmented(
                        data.train.pixels[order[i]], draws.shifts[i], bool(draws.flips[i]), config
                    )
                    for i in places
                ]
            )
            labels = data.train.labels[order[places.start : places.stop]]
            optimizer.zero_grad()
            loss = plain_loss(network, images, labels, 3.0)
            torch.autograd.backward(loss)
            optimizer.step()
            done += 1
    assert done == STEPS
    return [p.detach() for p in network.parameters()]


# Of seeds 0 to 3 only 2 meets no kink within 50 steps: 10^7 activations, some within 10^-7 of it.
@pytest.mark.parametrize(("smooth", "seed"), [(True, 0), (True, 1), (False, 2)])
def test_fifty_steps_equal_those_of_a_plain_training_within_a_ten_thousandth(
    smooth: bool, seed: int
) -> None:
    config = small_config(
        model__mix="2*resnet8", data__fraction=1.0, distill__temperature=3.0, seed=seed
    )
    training = prepare(config, MemorySession())
    training.network.train()
    if smooth:
        smoothed(training.network)
    for group in training.optimizer.param_groups:
        group["lr"] = LR
    step, done = step_of(training, WEIGHT), 0
    for epoch in range(STEPS):
        batches = training.train.train_batches(batch_size=BATCH, seed=config.seed, epoch=epoch)
        for batch in batches:
            if done == STEPS:
                break
            step.run(batch)
            done += 1

    expected = plain_training(config, smooth=smooth)

    for fast, plain in zip(training.network.parameters(), expected, strict=True):
        torch.testing.assert_close(fast.detach(), plain, atol=1e-4, rtol=0)
