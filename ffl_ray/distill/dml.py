"""Deep Mutual Learning: Zhang et al. 2018, arXiv:1706.00384."""

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl
from ffl_ray.models.network import NetworkOutput


def dml_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """Every branch learns from each of the others.

    L = sum_k [ CE(z_k, y) + 1/(N-1) sum_(j != k) KL(z_j -> z_k) ], at temperature 1 by default.
    No gradient reaches a teacher: in the paper each network is updated by its own loss alone.
    As the authors' networks do, the branches share nothing by default.
    """
    temperature, weight = settings.temperature, settings.weight
    terms = cross_entropies(output, labels, settings)
    branches = output.branches
    for index, student in enumerate(branches):
        kls = [
            distillation_kl(student, teacher, temperature=temperature)
            for peer, teacher in enumerate(branches)
            if peer != index
        ]
        value = sum(kls[1:], kls[0]) / len(kls)
        terms[f"peers_to_branches.{index}"] = Term(value, weight, ramped=True)
    return terms
