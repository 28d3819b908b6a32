"""Loss terms and the KL divergence that distillation methods are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Logits = Float[Tensor, "batch classes"]


class Term(NamedTuple):
    """One named part of a loss.

    Attributes:
        value: mean over the batch, in nats per example.
        weight: its factor in the total.
        ramped: whether the distill weight of the epoch multiplies it as well.
    """

    value: Float[Tensor, ""]
    weight: float = 1.0
    ramped: bool = False


def distillation_kl(
    student_logits: Logits, teacher_logits: Logits, *, temperature: float, epsilon: float = 0.0
) -> Float[Tensor, ""]:
    """KL divergence from the softened teacher to the softened student, in nats.

    T^2 / B sum (p_t + eps) (log(p_t + eps) - log p_s). The teacher is a constant: no gradient
    reaches it. The squared temperature keeps the gradient on the cross-entropy's scale (Hinton
    et al. 2015, arXiv:1503.02531, section 2). The authors' program of FFL adds eps = 1e-7
    without renormalising; it shifts the value by about 9e-5 and the gradient by 1e-8.
    """
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.softmax(teacher_logits.detach() / temperature, dim=1) + epsilon
    return F.kl_div(student, teacher, reduction="batchmean") * temperature**2


def total_loss(terms: Mapping[str, Term], distill_weight: float) -> Float[Tensor, ""]:
    """The weighted sum of a method's terms at one epoch's distill weight."""
    weighted = [
        term.value * (term.weight * (distill_weight if term.ramped else 1.0))
        for term in terms.values()
    ]
    return torch.stack(weighted).sum()
