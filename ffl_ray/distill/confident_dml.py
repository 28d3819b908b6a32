"""Mutual learning on confident images alone, after Li et al. 2021, arXiv:2106.01489."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Logits, Term, cross_entropies, distillation_kl
from ffl_ray.models.network import NetworkOutput


def confident_dml_terms(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill
) -> dict[str, Term]:
    """Every branch learns from each of the others what that one is sure of.

    L = sum_k [ CE(z_k, y) + 1/(N-1) sum_(j != k) mean over images m_j KL(z_j -> z_k) ], with m_j
    1 where the entropy of p_j = softmax(z_j) is below chi log(classes), else 0. chi is
    distill.entropy_limit, or on its way there (`limit`): while it is 0 nobody teaches, while it is
    1 it is DML, even guesses taught too. The mean is over all images, and no gradient reaches a
    teacher.
    """
    chi = limit(output, settings)
    masks = [_sure(logits, chi) for logits in output.branches]
    terms = cross_entropies(output, labels, settings)
    for index, student in enumerate(output.branches):
        kls = [
            distillation_kl(student, teacher, temperature=settings.temperature, per_image=mask)
            for peer, (teacher, mask) in enumerate(zip(output.branches, masks, strict=True))
            if peer != index
        ]
        value = sum(kls[1:], kls[0]) / len(kls)
        terms[f"peers_to_branches.{index}"] = Term(value, settings.weight, schedule="ramp")
    return terms


def limit(output: NetworkOutput, settings: ResolvedDistill) -> float | Float[Tensor, ""]:
    """Chi at this point of the training, as a share of the entropy of an even guess."""
    end = settings.entropy_limit
    if settings.entropy_schedule == "constant":
        return end
    assert output.share is not None, "the limit follows the share of the training that is done"
    start = 0.0 if settings.entropy_schedule == "rising" else 1.0
    return start + (end - start) * output.share


@torch.no_grad()
def _sure(logits: Logits, chi: float | Tensor) -> Float[Tensor, "batch"]:
    logs = F.log_softmax(logits, dim=1)
    entropy = -(logs.exp() * logs).sum(dim=1)
    # An even guess may come out above the logarithm by a rounding; a certain one is not below 0.
    return (entropy < chi * math.log(logits.shape[1]) * (1 + 1e-6)).to(logits.dtype)
