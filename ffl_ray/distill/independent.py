"""No teaching: every branch learns from the labels alone."""

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, cross_entropies
from ffl_ray.models.network import NetworkOutput


def independent_terms(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill
) -> dict[str, Term]:
    """L = sum_k CE(z_k, y); with separate trunks, each branch is its backbone trained alone."""
    return cross_entropies(output, labels, settings)
