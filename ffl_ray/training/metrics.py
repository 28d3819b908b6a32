"""Accuracy, NLL and calibration of every member, as sums that merge by addition."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ffl_ray.training.precision import float64_home

NUM_BINS = 15
_COUNT, _TOP1, _TOP5, _NLL = range(4)


class MemberMetrics(NamedTuple):
    """Quality of one classifier: fractions in [0, 1], NLL in nats per example."""

    accuracy: float
    top5: float
    nll: float
    ece: float


class Scored(NamedTuple):
    """What every member makes of each image of a batch, on a device that has float64.

    Attributes:
        labels: of the images, for each member.
        log_probs: of every class.
        nll: negative log-likelihood of each image in nats.
        likeliest: the five likeliest classes, or all where there are fewer, the first one first.
    """

    labels: Int64[Tensor, "members batch"]
    log_probs: Float64[Tensor, "members batch classes"]
    nll: Float64[Tensor, "members batch"]
    likeliest: Int64[Tensor, "members batch five"]


def scored(
    logits: Float[Tensor, "members batch classes"], labels: Int64[Tensor, "batch"]
) -> Scored:
    """What logits make of the images of a batch."""
    home = float64_home(logits.device)
    logits, labels = logits.to(home), labels.to(home)
    members, batch, classes = logits.shape
    log_probs = F.log_softmax(logits.double(), dim=2)
    expanded = labels.expand(members, batch)
    nll = F.nll_loss(log_probs.flatten(0, 1), expanded.flatten(), reduction="none")
    likeliest = logits.topk(min(5, classes), dim=2).indices
    return Scored(expanded, log_probs, nll.view(members, batch), likeliest)


def metric_sums(found: Scored) -> Float64[Tensor, "members sums"]:
    """Sums over a batch for each member; add them over batches and workers.

    Columns: examples, right ones, right ones among the five likeliest (fewer where there are
    fewer classes), NLL, and per confidence bin the examples, confidences and right ones.
    """
    (members, batch), device = found.nll.shape, found.nll.device
    ranked = found.likeliest == found.labels.unsqueeze(2)
    right = ranked[:, :, 0].double()
    confidence = found.log_probs.amax(dim=2).exp()
    bins = (confidence * NUM_BINS).long().clamp(0, NUM_BINS - 1)
    binned = torch.zeros(3, members, NUM_BINS, dtype=torch.float64, device=device)
    for row, values in enumerate((torch.ones_like(confidence), confidence, right)):
        binned[row].scatter_add_(1, bins, values)
    sums = [
        torch.full((members,), float(batch), dtype=torch.float64, device=device),
        right.sum(1),
        ranked.any(2).double().sum(1),
        found.nll.sum(1),
    ]
    return torch.cat([torch.stack(sums, dim=1), *binned], dim=1)


def outcomes(found: Scored) -> Float64[Tensor, "members batch 3"]:
    """Of each image: 1 where the likeliest class is its own and else 0, its NLL, that class."""
    likeliest = found.likeliest[:, :, 0]
    right = (likeliest == found.labels).double()
    return torch.stack([right, found.nll, likeliest.double()], dim=2)


def member_metrics(sums: Float64[Tensor, "members sums"]) -> list[MemberMetrics]:
    """Each member's metrics from its sums.

    ECE is the mean gap between confidence and accuracy over 15 equal bins, weighted by their
    examples (Guo et al. 2017, arXiv:1706.04599, eq. 3).
    """
    return [_member(row) for row in sums.cpu()]


def _member(row: Float64[Tensor, "sums"]) -> MemberMetrics:
    count = float(row[_COUNT])
    _, confidence, right = row[4:].view(3, NUM_BINS)
    ece = float((confidence - right).abs().sum()) / count
    return MemberMetrics(
        accuracy=float(row[_TOP1]) / count,
        top5=float(row[_TOP5]) / count,
        nll=float(row[_NLL]) / count,
        ece=ece,
    )
