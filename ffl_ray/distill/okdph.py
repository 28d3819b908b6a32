"""OKDPH: Zhang et al. 2023, arXiv:2303.14666, "Generalization Matters"."""

import torch
import torch.nn.functional as F
from torch import nn

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.hooks import Moment
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl
from ffl_ray.models.averages import AveragedWeights
from ffl_ray.models.network import FusionNetwork, NetworkOutput


def okdph_terms(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill
) -> dict[str, Term]:
    """Students learn from labels, from all logits, and from a network with their mean weights.

    L = sum_k [ (1 - a) CE(z_k, y) + b KL(z_e -> z_k) ] + a CE(z_H, y), with z_H the logits of the
    mean weights H = sum_k r_k theta_k, z_e the mean of all z_k and z_H, b = distill.weight, and
    a = distill.averaged_weight, the authors' 1 - omega. Each student has a loss of its own in
    their program, so that it gets r_k of H's gradient once: where a student can't reach it
    (distill.averaged_gradient), H is rebuilt there as a constant, and the term trains nothing.
    """
    assert output.averaged is not None, "OKDPH trains the mean of its students' weights"
    teacher = torch.cat([output.branches, output.averaged[None]]).mean(dim=0)
    terms = cross_entropies(output, labels, settings, weight=1 - settings.averaged_weight)
    value = F.cross_entropy(output.averaged, labels, label_smoothing=settings.label_smoothing)
    terms["ce_averaged"] = Term(value, settings.averaged_weight)
    for index, student in enumerate(output.branches):
        value = distillation_kl(student, teacher, temperature=settings.temperature)
        terms[f"peers_to_branches.{index}"] = Term(value, settings.weight, schedule="ramp")
    return terms


def before_step(moment: Moment) -> None:
    """Draw the students' shares, and write H back before an epoch, or keep it for after a step."""
    averages, students = _averages(moment.network)
    settings, every = moment.settings, moment.settings.write_back_steps
    if every is None and moment.step == 0 and moment.epoch > 0:
        averages.write_back(students, settings.write_back)
    if settings.student_shares == "dirichlet":
        averages.shares.copy_(_drawn(moment, len(students)))
    if every is not None and moment.step % every == 0:
        averages.become(students)


def after_step(moment: Moment) -> None:
    """Write the H of before the step back to the students, every so many steps."""
    every = moment.settings.write_back_steps
    if every is not None and moment.step % every == 0:
        averages, students = _averages(moment.network)
        averages.write_back(students, moment.settings.write_back)


def after_epoch(moment: Moment) -> None:
    """Have the member `averaged` hold the students' mean weights."""
    averages, students = _averages(moment.network)
    averages.become(students)


def _averages(network: FusionNetwork) -> tuple[AveragedWeights, list[list[nn.Module]]]:
    assert network.averages is not None, "OKDPH trains the mean of its students' weights"
    return network.averages, network.students


def _drawn(moment: Moment, count: int) -> torch.Tensor:
    """Shares from Dirichlet(1, ..., 1): exponential numbers, divided by their sum."""
    ones = torch.empty(count, dtype=torch.float64)
    drawn = ones.exponential_(generator=moment.generator)
    return drawn / drawn.sum()


OKDPH = Recipe(okdph_terms, before_step=before_step, after_step=after_step, after_epoch=after_epoch)
