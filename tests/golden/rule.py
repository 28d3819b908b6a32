"""The rule that fills weights and images for the golden values: no random numbers, any program.

Tensors are numbered in this order: trunk, private part of branch 0, of branch 1, classifier 0,
classifier 1, fusion module; within a part, in the order in which the network uses them (a
block's two convolutions with their batch norms, then its shortcut).
"""

import math

import torch
from torch import Tensor, nn

BATCH, CLASSES, DEPTH, STEPS, EPOCH = 6, 100, 20, 3, 20


def fill(parts: list[nn.Module]) -> None:
    """Fill the parameters of the parts, numbered through, with scaled sines."""
    number = 0
    for part in parts:
        for layer in part.modules():
            if not isinstance(layer, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
                continue
            for parameter in layer.parameters(recurse=False):
                wave = torch.sin(0.7 * torch.arange(parameter.numel()).double() + 1.3 * number)
                number += 1
                parameter.data = _scaled(layer, wave, parameter)


def images() -> Tensor:
    """Six images of sines, [6, 3, 32, 32]."""
    count = BATCH * 3 * 32 * 32
    return torch.sin(0.013 * torch.arange(count).double() ** 1.1).view(BATCH, 3, 32, 32)


def labels() -> Tensor:
    """Their classes."""
    return torch.arange(BATCH) * 13 % CLASSES


def _scaled(layer: nn.Module, wave: Tensor, parameter: Tensor) -> Tensor:
    wave = wave.view(parameter.shape)
    if parameter.dim() > 1:
        return wave * math.sqrt(2 / parameter[0].numel())
    if isinstance(layer, nn.BatchNorm2d) and parameter is layer.weight:
        return 1 + 0.1 * wave
    return 0.1 * wave
