"""Peer Collaborative Learning: Wu and Gong 2021, arXiv:2006.04147."""

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl, mean_kl
from ffl_ray.models.branch_modules import without
from ffl_ray.models.network import NetworkOutput


def pcl_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """A classifier on all peers' features and the peers' mean teachers teach every branch.

    L = CE(z_f, y) + sum_k [ CE(z_k, y) + w(t) KL(z_f -> z_k)
                             + w(t) 1/(N-1) sum_(j != k) KL(m_j -> z_k) ]
    with z_f a linear layer on the peers' pooled maps side by side, and m_j the logits of peer j
    with its weights averaged over time (`models.averages.AveragedWeights`). Each peer, and its
    mean teacher, sees an augmentation of its own. No gradient reaches a teacher.
    """
    assert output.fused is not None, "PCL has a classifier on all peers' features"
    assert output.mean_teachers is not None, "PCL trains with mean teachers"
    temperature, weight = settings.temperature, settings.weight
    terms = cross_entropies(output, labels, settings)
    for index, student in enumerate(output.branches):
        value = distillation_kl(student, output.fused, temperature=temperature)
        terms[f"fused_to_branches.{index}"] = Term(value, weight, schedule="ramp")
    for index, student in enumerate(output.branches):
        peers = without(index, output.mean_teachers)
        value = mean_kl(student, peers, temperature=temperature)
        terms[f"mean_teachers_to_branches.{index}"] = Term(value, weight, schedule="ramp")
    return terms
