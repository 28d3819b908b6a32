"""Feature Fusion Learning: Kim et al. 2020, arXiv:1904.09058."""

import functools

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl
from ffl_ray.models.network import NetworkOutput


def ffl_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """Cross-entropy of every classifier, and the two directions of mutual distillation.

    L = sum_k CE(z_k, y) + CE(z_f, y) + w(t) [ sum_k KL(z_f -> z_k) + KL(z_e -> z_f) ]
    with the teacher first in each KL, z_e the mean of the branches' logits, every weight 1 by
    default and only the bracket ramped. The sum over branches is not divided by their number.
    """
    assert output.fused is not None, "FFL has a fused classifier"
    kl = functools.partial(distillation_kl, epsilon=settings.target_epsilon)
    terms = cross_entropies(output, labels, settings)
    if settings.ensemble_to_fused:
        temperature = settings.ensemble_to_fused_temperature or settings.temperature
        value = kl(output.fused, output.ensemble, temperature=temperature)
        terms["ensemble_to_fused"] = Term(value, settings.ensemble_to_fused_weight, schedule="ramp")
    if settings.fused_to_branch:
        temperature = settings.fused_to_branch_temperature or settings.temperature
        for index, logits in enumerate(output.branches):
            value = kl(logits, output.fused, temperature=temperature)
            terms[f"fused_to_branches.{index}"] = Term(
                value, settings.fused_to_branch_weight, schedule="ramp"
            )
    return terms
