"""AHBF-OKD, adaptive hierarchy-branch fusion: Gong et al. 2023, AAAI."""

from __future__ import annotations

import functools
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.terms import Logits, Term, cross_entropies, distillation_kl
from ffl_ray.models.fusion_designs import Map
from ffl_ray.models.helpers import Helper
from ffl_ray.models.network import NetworkOutput
from ffl_ray.models.pooling import pooled


class Assistant(nn.Module):
    """A step of the ladder: what is fused below, with the next deeper branch.

    Maps side by side, 1x1 convolution, batch norm: the fused map, which goes on up the ladder.
    Pooled, linear to 2, batch norm, ReLU, softmax: shares of the logits from below and of the
    branch's.

    Args:
        below: channels of the map that is fused so far.
        width: channels of the branch's map.
    """

    def __init__(self, below: int, width: int) -> None:
        super().__init__()
        self.merge = nn.Sequential(nn.Conv2d(below + width, width, 1), nn.BatchNorm2d(width))
        self.gate = nn.Sequential(nn.Linear(width, 2), nn.BatchNorm1d(2), nn.ReLU())

    def forward(
        self, below: Map, deeper: Map, logits_below: Logits, logits: Logits
    ) -> tuple[Map, Logits]:
        fused: Map = self.merge(torch.cat([below, deeper], dim=1))
        shares = self.gate(pooled(fused)).softmax(dim=1)
        return fused, shares[:, :1] * logits_below + shares[:, 1:] * logits


def ahbf_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """Up a ladder of deeper branches assistants mix logits; each teaches what it is made of.

    L = sum_i CE(z_i, y) + sum_m CE(a_m, y) + b w(t) sum_m { p [ KL(a_m -> z_m) +
    KL(a_m -> a_(m-1)) ] + q KL(z_m -> a_(m-1)) }, m = 1, ..., N - 1, with z_0 the shallowest
    branch, a_0 = z_0, a_m = g_m1 a_(m-1) + g_m2 z_m, b = distill.weight, p =
    distill.assistant_weight and q = distill.deeper_weight. As in the authors' program targets are
    not detached, and each gets 1e-7 added.
    """
    kl = functools.partial(
        distillation_kl,
        temperature=settings.temperature,
        epsilon=settings.target_epsilon,
        detach_teacher=False,
    )
    terms = cross_entropies(output, labels, settings)
    for m, (below, assistant) in enumerate(pairwise(_ladder(output))):
        deeper = output.branches[m + 1]
        ce = F.cross_entropy(assistant, labels, label_smoothing=settings.label_smoothing)
        terms[f"ce_assistants.{m}"] = Term(ce)
        for name, student, teacher, weight in (
            ("assistants_to_deeper", deeper, assistant, settings.assistant_weight),
            ("assistants_to_lower", below, assistant, settings.assistant_weight),
            ("deeper_to_lower", below, deeper, settings.deeper_weight),
        ):
            value = kl(student, teacher)
            terms[f"{name}.{m}"] = Term(value, weight * settings.weight, schedule="ramp")
    return terms


def ahbf_helpers(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    """An assistant for each branch above the lowest."""
    widths = [x.shape[1] for x in _last_maps(example)]
    return {f"assistant{m}": Helper(Assistant(*two)) for m, two in enumerate(pairwise(widths))}


def _ladder(output: NetworkOutput) -> list[Logits]:
    """Logits of the lowest branch and of each assistant above it."""
    assert output.helpers is not None, "AHBF trains assistants"
    maps = _last_maps(output)
    fused, logits = maps[0], output.branches[0]
    found = [logits]
    for m, (deeper, own) in enumerate(zip(maps[1:], output.branches[1:], strict=True)):
        fused, logits = output.helpers[f"assistant{m}"](fused, deeper, logits, own)
        found.append(logits)
    return found


def _last_maps(output: NetworkOutput) -> list[Map]:
    assert output.kept.stage_maps is not None, "AHBF fuses the branches' maps"
    return [maps[-1] for maps in output.kept.stage_maps]


AHBF = Recipe(ahbf_terms, helpers=ahbf_helpers)
