"""Loss terms and the KL divergence that distillation methods are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ffl_ray.config.settings import DistillConfig
from ffl_ray.data.dataset import Labels
from ffl_ray.models.network import NetworkOutput

Logits = Float[Tensor, "batch classes"]
Schedule = Literal["none", "ramp", "linear", "decay", "warm_up"]
TERM_COLUMNS = (
    "ce_branches",
    "ce_fused",
    "ce_averaged",
    "ensemble_to_fused",
    "branches_to_fused",
    "fused_to_branches",
    "ensemble_to_branches",
    "peers_to_branches",
    "mean_teachers_to_branches",
)
"""Names of terms that have a column of the epochs table each; all others share `loss.own`."""
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)


class Term(NamedTuple):
    """One named part of a loss.

    Attributes:
        value: mean over the batch, in nats per example.
        weight: its factor in the total.
        schedule: how that factor changes over the training. none: not at all; ramp: by the distill
            weight, which rises over distill.ramp_up; warm_up: in a straight line from 0 to 1 over
            that length; linear: over the whole training; decay: from 1 to 0 over all of it.
    """

    value: Float[Tensor, ""]
    weight: float = 1.0
    schedule: Schedule = "none"


def distillation_kl(
    student_logits: Logits,
    teacher_logits: Logits,
    *,
    temperature: float,
    epsilon: float = 0.0,
    detach_teacher: bool = True,
    per_image: Float[Tensor, "batch"] | None = None,
) -> Float[Tensor, ""]:
    """KL divergence from the softened teacher to the softened student, in nats.

    T^2 / B sum (p_t + eps) (log(p_t + eps) - log p_s). The teacher is a constant unless told
    otherwise: no gradient reaches it. The squared temperature keeps the gradient on the
    cross-entropy's scale (Hinton et al. 2015, arXiv:1503.02531, section 2). The authors' program
    of FFL adds eps = 1e-7 without renormalising; it shifts the value by about 9e-5 and the
    gradient by 1e-8. A teacher that learns too and gets no eps has its log taken of the logits: the
    gradient of p log p is none where p is 0, as it is from logits 104 apart on.

    Args:
        per_image: a factor of each image's divergence, such as a mask; the mean stays that over
            all B images.
    """
    teacher_logits = teacher_logits.detach() if detach_teacher else teacher_logits
    student = F.log_softmax(student_logits / temperature, dim=1)
    in_log = not (detach_teacher or epsilon)
    softened = F.log_softmax if in_log else F.softmax
    teacher = softened(teacher_logits / temperature, dim=1) + epsilon
    if per_image is not None:
        each = F.kl_div(student, teacher, reduction="none", log_target=in_log).sum(dim=1)
        return (each * per_image).mean() * temperature**2
    kl = F.kl_div(student, teacher, reduction="batchmean", log_target=in_log)
    return kl * temperature**2


def mean_kl(
    student_logits: Logits,
    teachers: Iterable[Logits],
    *,
    temperature: float,
    detach_teacher: bool = True,
) -> Float[Tensor, ""]:
    """The mean of the divergences from some teachers to one student, as `distillation_kl`."""
    kls = [
        distillation_kl(
            student_logits, teacher, temperature=temperature, detach_teacher=detach_teacher
        )
        for teacher in teachers
    ]
    return sum(kls[1:], kls[0]) / len(kls)


def cross_entropies(
    output: NetworkOutput, labels: Labels, settings: DistillConfig, weight: float = 1.0
) -> dict[str, Term]:
    """The cross-entropy of every branch, and of the fused classifier where there is one.

    Args:
        labels: of the batch; with the branches in front where each sees images of its own.
    """
    apart = labels.dim() > 1 + labels.is_floating_point()
    pairs = {
        f"ce_branches.{index}": (logits, labels[index] if apart else labels)
        for index, logits in enumerate(output.branches)
    }
    if output.fused is not None:
        pairs["ce_fused"] = output.fused, labels
    smoothing = settings.label_smoothing
    return {
        name: Term(F.cross_entropy(logits, of, label_smoothing=smoothing), weight)
        for name, (logits, of) in pairs.items()
    }


def shares_of(
    labels: Labels, like: Float[Tensor, "branches batch classes"]
) -> Float[Tensor, "batch classes"]:
    """Labels as class probabilities."""
    if labels.is_floating_point():
        return labels.to(like.dtype)
    return F.one_hot(labels, like.shape[2]).to(like.dtype)


def the_rest(branches: Float[Tensor, "branches batch classes"], index: int) -> Tensor:
    """Mean of all branches' logits but one's."""
    return torch.cat([branches[:index], branches[index + 1 :]]).mean(dim=0)


def total_loss(terms: Mapping[str, Term], distill_weight: float | Tensor) -> Float[Tensor, ""]:
    """The weighted sum of a method's terms at one epoch's distill weights.

    Args:
        distill_weight: one for each of `SCHEDULES`, in float64 on the terms' device; or one number,
            for whatever has a schedule.
    """
    weighted = [term.value * _factor(term, distill_weight) for term in terms.values()]
    return torch.stack(weighted).sum()


def _factor(term: Term, distill_weight: float | Tensor) -> float | Tensor:
    if term.schedule == "none":
        return term.weight
    if isinstance(distill_weight, Tensor) and distill_weight.ndim:
        distill_weight = distill_weight[SCHEDULES.index(term.schedule)]
    factor = term.weight * distill_weight
    return factor.to(term.value.dtype) if isinstance(factor, Tensor) else factor
