"""DKEL: decoupled knowledge with ensemble learning, as shaoeric's program of that name has it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl, mean_kl, the_rest
from ffl_ray.models.branch_modules import without
from ffl_ray.models.network import NetworkOutput

EPOCHS = 300  # of the published training, in each of which the early share has one value
LEAST = 0.01  # below which their program leaves the early share out


def dkel_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """PCL, whose mean teachers start from weights of their own and teach together at first.

    L = CE(z_f, y) + sum_k [ CE(z_k, y) + w(t) KL(z_f -> z_k)
        + w(t) ( (1 - e) 1/(N-1) sum_(j != k) KL(m_j -> z_k) + e KL(mean_(j != k) m_j -> z_k) ) ]
    with z_f and m_j as in PCL, w the ramp-up times distill.weight, and e the `early_share`. No
    gradient reaches a teacher.
    """
    assert output.fused is not None, "DKEL has a classifier on all peers' features"
    means = output.mean_teachers
    assert means is not None, "DKEL trains with mean teachers"
    temperature, weight = settings.temperature, settings.weight
    early = early_share(output, settings).to(means.dtype)
    terms = cross_entropies(output, labels, settings)
    for index, student in enumerate(output.branches):
        value = distillation_kl(student, output.fused, temperature=temperature)
        terms[f"fused_to_branches.{index}"] = Term(value, weight, schedule="ramp")
    for index, student in enumerate(output.branches):
        apart = mean_kl(student, without(index, means), temperature=temperature)
        together = distillation_kl(student, the_rest(means, index), temperature=temperature)
        value = (1 - early) * apart + early * together
        terms[f"mean_teachers_to_branches.{index}"] = Term(value, weight, schedule="ramp")
    return terms


def early_share(output: NetworkOutput, settings: ResolvedDistill) -> Float[Tensor, ""]:
    """E = exp(-t / (300 s)) with s = distill.early_span, in epoch t of 300; 0 once under .01."""
    assert output.share is not None, "the early share follows the share of the training done"
    # A step that begins an epoch may come out below it by a rounding.
    epoch = torch.floor(output.share * EPOCHS + 1e-9)
    share = torch.exp(-epoch / (EPOCHS * settings.early_span))
    return torch.where(share < LEAST, 0.0, share)
