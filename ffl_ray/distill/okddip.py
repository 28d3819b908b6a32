"""OKDDip: Chen et al. 2020, arXiv:1912.00350."""

import torch

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl
from ffl_ray.models.network import NetworkOutput


def okddip_terms(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill
) -> dict[str, Term]:
    """Peers learn from mixes of the peers that attention makes for each, the leader from them all.

    L = sum_k CE(z_k, y) + w(t) [ sum_a KL(t_a -> z_a) + KL(mean_a z_a -> z_0) ] with
    t_a = sum_b A_ab z_b. Branch 0, or the one that model.leader names, is the group leader z_0,
    which is deployed; the others are the auxiliary peers a, b, and the ensemble is theirs. As in
    the authors' program, logits are mixed (the paper's text mixes probabilities), targets are not
    detached, which is how the attention is trained, and each gets 1e-7 added.
    """
    assert output.attention is not None, "OKDDip trains an attention between peers"
    assert output.leader is not None, "OKDDip has a leader"
    temperature, weight = settings.temperature, settings.weight
    teachers = list(torch.einsum("kab,bkc->akc", output.attention, output.peers))
    teachers.insert(output.leader, output.ensemble)
    terms = cross_entropies(output, labels, settings)
    for index, (student, teacher) in enumerate(zip(output.branches, teachers, strict=True)):
        value = distillation_kl(
            student,
            teacher,
            temperature=temperature,
            epsilon=settings.target_epsilon,
            detach_teacher=False,
        )
        terms[f"peers_to_branches.{index}"] = Term(value, weight, schedule="ramp")
    return terms
