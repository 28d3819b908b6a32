"""Collaborative Learning: Song and Chai 2018, arXiv:1805.11761."""

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl, the_rest
from ffl_ray.models.network import NetworkOutput


def cl_ilr_terms(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill
) -> dict[str, Term]:
    """Every branch learns from the mean of the others' logits.

    L = sum_k [ (1 - b) CE(z_k, y) + b KL(mean_(j != k) z_j -> z_k) ] with b = distill.weight, 0.5
    by default, at temperature 2; b is at most 1. No gradient reaches the mean. The network divides
    the gradient that comes back to a shared trunk by the number of branches
    (`models.method_modules.divided_gradient`). distill.ce_weight replaces 1 - b, and with
    distill.detach_targets=false the mean is taught as well: OKDDip's program has both weights 1,
    temperature 3, the ramp-up of ONE and no detached target.
    """
    temperature, weight = settings.temperature, settings.weight
    ce_weight = 1 - weight if settings.ce_weight is None else settings.ce_weight
    terms = cross_entropies(output, labels, settings, weight=ce_weight)
    for index, student in enumerate(output.branches):
        value = distillation_kl(
            student,
            the_rest(output.branches, index),
            temperature=temperature,
            detach_teacher=settings.detach_targets,
        )
        terms[f"peers_to_branches.{index}"] = Term(value, weight, schedule="ramp")
    return terms
