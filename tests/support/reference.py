"""Losses written from their formulas, one example and class at a time: what the fast ones equal."""

import math

import torch
from torch import Tensor

from ffl_ray.models.network import NetworkOutput


def reference_kl(student: Tensor, teacher: Tensor, temperature: float, epsilon: float) -> float:
    """The formula of METHODS 1.2, one example and class at a time."""
    total = 0.0
    for s, g in zip(student.tolist(), teacher.tolist(), strict=True):
        log_norm = math.log(sum(math.exp(x / temperature) for x in s))
        norm = sum(math.exp(x / temperature) for x in g)
        for x, y in zip(s, g, strict=True):
            target = math.exp(y / temperature) / norm + epsilon
            total += target * (math.log(target) - (x / temperature - log_norm))
    return temperature**2 * total / len(student)


def reference_ce(logits: Tensor, targets: Tensor) -> float:
    """Cross-entropy with class probabilities, one example and class at a time."""
    total = 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        log_norm = math.log(sum(map(math.exp, row)))
        total += sum(share * (log_norm - x) for x, share in zip(row, target, strict=True))
    return total / len(targets)


def random_output(num_branches: int, leader: int | None = 0) -> NetworkOutput:
    generator = torch.Generator().manual_seed(num_branches)

    def draw(*shape: int) -> Tensor:
        return 3 * torch.randn(*shape, dtype=torch.float64, generator=generator)

    return NetworkOutput(
        draw(num_branches, 6, 10),
        draw(6, 10),
        draw(6, num_branches - 1, num_branches - 1).softmax(dim=2),
        draw(num_branches, 6, 10),
        leader=leader,
        averaged=draw(6, 10),
    )
