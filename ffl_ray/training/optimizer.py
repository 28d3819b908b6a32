"""The optimiser of a config and its learning rate, without importing torch's compiler."""

from __future__ import annotations

import inspect
from typing import TypeVar

import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from ffl_ray.config.settings import Config
from ffl_ray.models.network import FusionNetwork
from ffl_ray.training.schedules import cosine_lr, linear_lr, step_lr, warmup_lr

OptimizerT = TypeVar("OptimizerT", bound=Optimizer)


def _plain(kind: type[OptimizerT]) -> type[OptimizerT]:
    """An optimiser class with its methods taken from under their decorators.

    Each decorated method imports torch._dynamo on its first call (5 s), to keep a compiler out
    that is not running. The computation is torch's own, to the bit.
    """
    for name in ("add_param_group", "zero_grad", "state_dict"):
        setattr(kind, name, inspect.unwrap(getattr(kind, name)))
    step = inspect.unwrap(kind.step)
    kind.step = torch.no_grad()(step)  # type: ignore[method-assign]
    return kind


@_plain
class PlainSGD(SGD):
    """torch.optim.SGD, free of the compiler."""


@_plain
class PlainAdamW(AdamW):
    """torch.optim.AdamW, free of the compiler."""


def new_optimizer(config: Config, network: FusionNetwork) -> Optimizer:
    """The config's optimiser over two groups: the fusion module has a weight decay of its own.

    The authors step two optimisers with equal settings otherwise: the same computation.
    """
    optim = config.optim
    groups = network.parameter_groups(
        weight_decay=optim.weight_decay, fusion_weight_decay=optim.fusion_weight_decay
    )
    if optim.optimizer == "adamw":
        betas = (optim.beta1, optim.beta2)
        return PlainAdamW(groups, lr=optim.lr, betas=betas, eps=optim.epsilon, fused=True)
    nesterov = optim.nesterov and optim.momentum > 0
    return PlainSGD(groups, lr=optim.lr, momentum=optim.momentum, nesterov=nesterov, fused=True)


def set_learning_rate(optimizer: Optimizer, lr: float, on_device: Tensor | None = None) -> None:
    """Have the next steps take this learning rate.

    Args:
        on_device: what holds it on a GPU, where recorded steps read it.
    """
    if on_device is not None:
        on_device.fill_(lr)
    for group in optimizer.param_groups:
        group["lr"] = lr if on_device is None else on_device


def learning_rate(config: Config, epoch: int) -> float:
    """The learning rate of an epoch: warm-up, then the config's schedule; epochs count from 0."""
    optim = config.optim
    warmup_epochs = round(optim.warmup * optim.epochs)
    if epoch < warmup_epochs:
        return warmup_lr(epoch, warmup_epochs=warmup_epochs, lr=optim.lr)
    since, epochs = epoch - warmup_epochs, optim.epochs - warmup_epochs
    if optim.lr_schedule == "step":
        return step_lr(
            since,
            epochs=epochs,
            lr=optim.lr,
            milestones=optim.lr_milestones,
            decay=optim.lr_decay,
        )
    if optim.lr_schedule == "constant":
        return optim.lr
    fall = {"cosine": cosine_lr, "linear": linear_lr}[optim.lr_schedule]
    return fall(since, epochs=epochs, lr=optim.lr)
