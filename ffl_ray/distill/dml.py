"""Deep Mutual Learning: Zhang et al. 2018, arXiv:1706.00384."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Logits, Term, cross_entropies, mean_kl, the_rest
from ffl_ray.models.branch_modules import without
from ffl_ray.models.network import NetworkOutput


def dml_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """Every branch learns from each of the others.

    L = sum_k [ CE(z_k, y) + 1/(N-1) sum_(j != k) KL(z_j -> z_k) ], at temperature 1 by default.
    No gradient reaches a teacher: in the paper each network is updated by its own loss alone.
    As the authors' networks do, the branches share nothing by default. OKDDip's program runs
    another form as DML: distill.dml_teacher=mean has KL(mean_(j != k) z_j -> z_k), and with
    distill.detach_targets=false the teachers learn from it as well.
    """
    terms = cross_entropies(output, labels, settings)
    for index, student in enumerate(output.branches):
        value = mean_kl(
            student,
            _teachers(output.branches, index, settings),
            temperature=settings.temperature,
            detach_teacher=settings.detach_targets,
        )
        terms[f"peers_to_branches.{index}"] = Term(value, settings.weight, schedule="ramp")
    return terms


def _teachers(
    branches: Float[Tensor, "branches batch classes"], index: int, settings: ResolvedDistill
) -> list[Logits]:
    """The logits that one branch learns from."""
    if settings.dml_teacher == "mean":
        return [the_rest(branches, index)]
    return without(index, branches)
