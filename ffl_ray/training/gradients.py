"""Gradients between the backward pass and the optimiser's step."""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.distributed as dist
from torch import nn


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


def drop_gradients(network: nn.Module, kept: Collection[nn.Parameter]) -> None:
    """Have the next step of the optimiser leave out all parameters but those that are kept.

    An optimiser passes over a parameter without a gradient: it gets no weight decay either.
    """
    those = {id(parameter) for parameter in kept}
    for parameter in network.parameters():
        if id(parameter) not in those:
            parameter.grad = None
