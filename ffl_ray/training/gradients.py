"""Gradients between the backward pass and the optimiser's step."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@torch.no_grad()
def average_gradients(network: nn.Module, world_size: int) -> None:
    """Give every worker the mean of all workers' gradients, in one message.

    DistributedDataParallel's hooks send them while the backward pass runs; they can't be part of a
    CUDA graph, which gains small networks more.
    """
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size
    means = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view(gradient.shape))


class _Gathered(torch.autograd.Function):
    """Every worker's values, in the order of their ranks; backward sums what all have of them."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rank: int, world_size: int) -> Tensor:
        ctx.place = slice(rank * len(values), (rank + 1) * len(values))
        parts = [torch.empty_like(values) for _ in range(world_size)]
        dist.all_gather(parts, values.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[ctx.place], None, None


def gathered(values: Tensor, world_size: int) -> Tensor:
    """The values of all workers' images, as `NetworkOutput.gather` has it.

    Where every worker's loss is a mean over its own images against all, the mean of their gradients
    is that of one worker with the whole batch.

    Args:
        values: in the first dimension those of this worker's images, as many as every other's.
    """
    if world_size == 1:
        return values
    rank = dist.get_rank()
    whole: Tensor = _Gathered.apply(values, rank, world_size)
    return whole.roll(-rank * len(values), dims=0)


def drop_gradients(network: nn.Module, kept: Collection[nn.Parameter]) -> None:
    """Have the next step of the optimiser leave out all parameters but those that are kept.

    An optimiser passes over a parameter without a gradient: it gets no weight decay either.
    """
    those = {id(parameter) for parameter in kept}
    for parameter in network.parameters():
        if id(parameter) not in those:
            parameter.grad = None
