"""DCM, dense cross-layer mutual distillation: Yao and Sun 2020, ECCV, arXiv:2008.07816."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.exits import exits_of, placed_exits
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.terms import Logits, Term, cross_entropies, distillation_kl
from ffl_ray.models.helpers import Helper
from ffl_ray.models.network import NetworkOutput


def dcm_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """Every classifier of a branch, its exits too, learns from every one of each other branch.

    L = sum_k [ sum_a CE(z_ka, y) + 1/(N-1) sum_(j != k) sum_(a,b) KL(z_jb -> z_ka) ], with a and b
    the final classifier and the exits after the two stages before the last: nine pairs of two
    networks of three stages. No gradient reaches a teacher. The mean over other branches is an
    extension: the published form has two. Exits are helpers, which nobody deploys.
    """
    exits = [[head(x) for head, x in own] for own in placed_exits(output)]
    terms = cross_entropies(output, labels, settings)
    learns = functools.partial(_learns, temperature=settings.temperature)
    for k, (final, own) in enumerate(zip(output.branches, exits, strict=True)):
        teachers = [
            logits
            for j in range(len(exits))
            if j != k
            for logits in (output.branches[j], *exits[j])
        ]
        ces = [F.cross_entropy(z, labels, label_smoothing=settings.label_smoothing) for z in own]
        terms[f"ce_exits.{k}"] = Term(torch.stack(ces).sum())
        others = len(exits) - 1
        value = learns(final, teachers) / others
        terms[f"peers_to_branches.{k}"] = Term(value, settings.weight, schedule="ramp")
        value = torch.stack([learns(z, teachers) for z in own]).sum() / others
        terms[f"peers_to_exits.{k}"] = Term(value, settings.weight, schedule="ramp")
    return terms


def dcm_helpers(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    """The exits of every branch."""
    return exits_of(example)


def _learns(student: Logits, teachers: list[Logits], *, temperature: float) -> Tensor:
    kls = [distillation_kl(student, teacher, temperature=temperature) for teacher in teachers]
    return torch.stack(kls).sum()


DCM = Recipe(dcm_terms, helpers=dcm_helpers)
