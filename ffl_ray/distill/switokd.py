"""SwitOKD: Qian et al. 2022, ECCV, "Switchable Online Knowledge Distillation"."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.recipe import Mean, Recipe
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl, shares_of
from ffl_ray.models.network import NetworkOutput


def switokd_terms(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill
) -> dict[str, Term]:
    """Every branch learns from each other one, whenever it takes a step.

    L = sum_k [ CE(z_k, y) + b sum_(j != k) KL(z_j -> z_k) ] at temperature 1, b = distill.weight:
    the sum over the others is not divided by their number, as in the authors' program of two
    teachers and a student. No gradient reaches a teacher.
    """
    terms = cross_entropies(output, labels, settings)
    for index, student in enumerate(output.branches):
        value = student.new_zeros(())
        for peer, teacher in enumerate(output.branches):
            if peer != index:
                kl = distillation_kl(student, teacher, temperature=settings.temperature)
                value = value + kl
        terms[f"peers_to_branches.{index}"] = Term(value, settings.weight, schedule="ramp")
    return terms


def takes_step(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill, mean: Mean
) -> Bool[Tensor, "branches"]:
    """Whether each branch takes the step: a teacher far ahead of the student waits for it.

    The leader is the student s, all others are teachers t. With probabilities p at temperature 1,
    G = mean |p_s - p_t|_1 and e = mean |p - y|_1 over the global batch, t waits (the authors'
    expert mode) where e_t < e_s and G > e_s - exp(-e_t / (e_t + e_s)) e_t. Where nobody teaches,
    distill.weight 0, nobody waits.
    """
    assert output.leader is not None, "SwitOKD has a student"
    probabilities = output.branches.softmax(dim=2)
    apart = probabilities - shares_of(labels, output.branches)
    errors = mean(apart.abs().sum(dim=2))
    gaps = mean((probabilities - probabilities[output.leader]).abs().sum(dim=2))
    student = errors[output.leader]
    threshold = student - torch.exp(-errors / (errors + student)) * errors
    waits = (errors < student) & (gaps > threshold)
    return ~waits if settings.weight else torch.ones_like(waits)


SWITOKD = Recipe(switokd_terms, takes_step=takes_step)
