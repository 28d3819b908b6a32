"""The optimiser of a config and its learning rate, without importing torch's compiler."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from ffl_ray.config.settings import Config, OptimConfig
from ffl_ray.distill.registry import recipe_of
from ffl_ray.models.network import FusionNetwork
from ffl_ray.training.parted_step import phase_groups
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
class PlainAdam(Adam):
    """torch.optim.Adam, free of the compiler."""


@_plain
class PlainAdamW(AdamW):
    """torch.optim.AdamW, free of the compiler."""


@_plain
class Optimizers(Optimizer):
    """Several optimisers, each of groups of its own, as one: of one state and all their groups."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = parts
        for part in parts:
            part.state = self.state

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """A step of each."""
        for part in self.parts:
            part.step()


def new_optimizer(config: Config, network: FusionNetwork) -> Optimizer:
    """The config's optimiser: the fusion module has a weight decay of its own, and helpers theirs.

    A phase of the method may have an optimiser of its own, which is a part of this one.

    The authors step two optimisers with equal settings otherwise: the same computation.
    """
    optim = config.optim
    groups: dict[str, list[dict[str, object]]] = {}
    for group in network.parameter_groups(
        weight_decay=optim.weight_decay, fusion_weight_decay=optim.fusion_weight_decay
    ) + phase_groups(network, recipe_of(config.distill).then, optim.weight_decay):
        groups.setdefault(str(group.pop("optimizer", optim.optimizer)), []).append(group)
    parts = [optimizer_of(kind, optim, own) for kind, own in groups.items()]
    return parts[0] if len(parts) == 1 else Optimizers(parts)


def optimizer_of(kind: str, optim: OptimConfig, groups: list[dict[str, object]]) -> Optimizer:
    """An optimiser of this kind, by the settings that all kinds share, of groups of parameters."""
    if kind in ("adam", "adamw"):
        adam = PlainAdam if kind == "adam" else PlainAdamW
        betas = (optim.beta1, optim.beta2)
        return adam(groups, lr=optim.lr, betas=betas, eps=optim.epsilon, fused=True)
    nesterov = optim.nesterov and optim.momentum > 0
    return PlainSGD(groups, lr=optim.lr, momentum=optim.momentum, nesterov=nesterov, fused=True)


def set_learning_rate(optimizer: Optimizer, lr: float, on_device: Tensor | None = None) -> None:
    """Have the next steps take this learning rate.

    Args:
        on_device: what holds it on a GPU, where recorded steps read it; groups with a factor of
            their own have one of their own.
    """
    for group in optimizer.param_groups:
        factor = group.get("lr_factor", 1.0)
        if on_device is None:
            group["lr"] = lr * factor
            continue
        if not isinstance(group["lr"], Tensor):
            group["lr"] = on_device if factor == 1 else on_device.clone()
        group["lr"].fill_(lr * factor)


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
