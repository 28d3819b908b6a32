"""ONE: Lan et al. 2018, arXiv:1806.04606."""

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl
from ffl_ray.models.network import NetworkOutput


def one_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """The gated ensemble, here the fused classifier, teaches every branch.

    L = sum_k CE(z_k, y) + CE(z_g, y) + w(t) sum_k KL(z_g -> z_k), with z_g the branches' logits
    under the weights of a gate that reads the trunk (`models.method_modules.LogitGate`). No
    gradient reaches the gate from the KL terms.
    """
    assert output.fused is not None, "ONE has a gated ensemble"
    temperature, weight = settings.temperature, settings.weight
    terms = cross_entropies(output, labels, settings)
    for index, student in enumerate(output.branches):
        value = distillation_kl(
            student, output.fused, temperature=temperature, epsilon=settings.target_epsilon
        )
        terms[f"fused_to_branches.{index}"] = Term(value, weight, schedule="ramp")
    return terms
