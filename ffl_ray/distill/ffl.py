"""Feature Fusion Learning: Kim et al. 2020, arXiv:1904.09058."""

import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor

from ffl_ray.config import DistillConfig
from ffl_ray.distill.terms import Term, distillation_kl
from ffl_ray.models.network import NetworkOutput


def ffl_terms(
    output: NetworkOutput, labels: Int64[Tensor, "batch"], settings: DistillConfig
) -> dict[str, Term]:
    """Cross-entropy of every classifier, and the two directions of mutual distillation.

    L = sum_k CE(z_k, y) + CE(z_f, y) + w(t) [ sum_k KL(z_f -> z_k) + KL(z_e -> z_f) ]
    with the teacher first in each KL, z_e the mean of the branches' logits, every weight 1 by
    default and only the bracket ramped. The sum over branches is not divided by their number.
    """
    terms = {
        f"ce_branches.{index}": Term(F.cross_entropy(logits, labels))
        for index, logits in enumerate(output.branches)
    }
    terms["ce_fused"] = Term(F.cross_entropy(output.fused, labels))
    softening = {"temperature": settings.temperature, "epsilon": settings.target_epsilon}
    if settings.ensemble_to_fused:
        value = distillation_kl(output.fused, output.ensemble, **softening)
        terms["ensemble_to_fused"] = Term(value, settings.ensemble_to_fused_weight, ramped=True)
    if settings.fused_to_branch:
        for index, logits in enumerate(output.branches):
            value = distillation_kl(logits, output.fused, **softening)
            terms[f"fused_to_branches.{index}"] = Term(
                value, settings.fused_to_branch_weight, ramped=True
            )
    return terms
