"""Gradients between the backward pass and the optimiser's step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ffl_ray.data.shards import share_sizes


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
    def forward(ctx: Any, values: Tensor, rank: int, sizes: Sequence[int]) -> Tensor:
        first = sum(sizes[:rank])
        ctx.place = slice(first, first + sizes[rank])
        most = max(sizes)
        own = values.new_zeros(most, *values.shape[1:])
        own[: len(values)] = values
        parts = [torch.empty_like(own) for _ in sizes]
        dist.all_gather(parts, own)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[ctx.place], None, None


def gathered(values: Tensor, world_size: int, global_size: int) -> Tensor:
    """The values of all workers' images, as `NetworkOutput.gather` has it.

    Where every worker's loss is a mean over its own images against all, the mean of their gradients
    is that of one worker with the whole batch.

    Args:
        values: in the first dimension those of this worker's images.
        global_size: images of all workers, of which one may have one more than another.
    """
    if world_size == 1:
        return values
    rank, sizes = dist.get_rank(), share_sizes(global_size, world_size)
    whole: Tensor = _Gathered.apply(values, rank, sizes)
    return whole.roll(-sum(sizes[:rank]), dims=0)


def drop_gradients(network: nn.Module, kept: Collection[nn.Parameter]) -> None:
    """Have the next step of the optimiser leave out all parameters but those that are kept.

    An optimiser passes over a parameter without a gradient: it gets no weight decay either.
    """
    those = {id(parameter) for parameter in kept}
    for parameter in network.parameters():
        if id(parameter) not in those:
            parameter.grad = None
