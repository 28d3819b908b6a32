"""Losses written from their formulas, one example and class at a time: what the fast ones equal."""

import math

import torch
from torch import Tensor, nn

from ffl_ray.config.methods import METHODS, resolved_distill
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.registry import RECIPES
from ffl_ray.models.branch_modules import Kept
from ffl_ray.models.network import NetworkOutput

STAGES = ((2, 8, 8), (3, 4, 4), (4, 2, 2))


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


def reference_contrast(similarities: list[list[float]], labels: list[int]) -> float:
    """How hard images of one class are to tell, of MCL (METHODS2 7.1), one pair at a time."""
    total = 0.0
    for u, row in enumerate(similarities):
        norm = sum(math.exp(s) for w, s in enumerate(row) if w != u)
        positives = [v for v in range(len(row)) if v != u and labels[v] == labels[u]]
        total -= sum(math.log(math.exp(row[v]) / norm) for v in positives) / len(positives)
    return total / len(similarities)


def reference_embedding(layers: nn.Module, features: Tensor) -> list[list[float]]:
    """Vectors of length 1 that a linear layer, ReLU and a linear layer make of features."""
    first, _, last = layers.children()
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    hidden = (features @ first.weight.T + first.bias).clamp(min=0)
    vectors = (hidden @ last.weight.T + last.bias).tolist()
    return [[x / math.hypot(*row) for x in row] for row in vectors]


def cosines(
    ones: list[list[float]], others: list[list[float]], temperature: float
) -> list[list[float]]:
    """Products of every vector of one set with every one of another, over a temperature."""
    return [
        [sum(x * y for x, y in zip(one, other, strict=True)) / temperature for other in others]
        for one in ones
    ]


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
        share=torch.tensor(0.4, dtype=torch.float64),
        averaged=draw(6, 10),
    )


def _later(stage: int) -> nn.Module:
    return nn.Conv2d(STAGES[stage - 1][0], STAGES[-1][0], 1)


def given(method: str, output: NetworkOutput) -> NetworkOutput:
    """What a method's loss is given of a random output: what it needs, and its helpers."""
    row, generator = METHODS[method], torch.Generator().manual_seed(7)
    maps = [
        [
            torch.randn(6, *shape, dtype=torch.float64, generator=generator).relu()
            for shape in STAGES
        ]
        for _ in output.branches
    ]
    kept = Kept(
        stage_maps=maps if "stage_maps" in row.needs else None,
        pooled=[x[-1].mean(dim=(2, 3)) for x in maps] if "pooled" in row.needs else None,
        fused_map=maps[0][-1].flip(0) if "fused_map" in row.needs else None,
    )
    output = output._replace(kept=kept, fused=output.fused if row.head else None)
    make = RECIPES[method].helpers
    if make is None:
        return output
    torch.manual_seed(3)
    example = output._replace(later_stages=lambda _, stage: _later(stage))
    made = make(example, resolved_distill(DistillConfig(method=method)))
    modules = {name: helper.module.double() for name, helper in made.items()}
    return output._replace(helpers=nn.ModuleDict(modules)) if modules else output
