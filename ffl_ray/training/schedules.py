"""Schedules of terms and of the learning rate: pure functions of the epoch, counted from 0."""

import math
from collections.abc import Sequence

from ffl_ray.distill.terms import Schedule

STEPS = 300


def schedule_weights(epoch: int, *, epochs: int, ramp_up_share: float) -> dict[Schedule, float]:
    """Each schedule's factor in an epoch: its mean over that part of the training.

    Args:
        epoch: epochs finished so far.
        epochs: length of the training.
        ramp_up_share: of the training, that `ramp` and `warm_up` take to rise.
    """
    linear = straight(epoch, epochs=epochs, share=1.0)
    return {
        "none": 1.0,
        "ramp": ramp_up(epoch, epochs=epochs, share=ramp_up_share),
        "linear": linear,
        "decay": 1.0 - linear,
        "warm_up": straight(epoch, epochs=epochs, share=ramp_up_share),
    }


def straight(epoch: int, *, epochs: int, share: float) -> float:
    """Mean over an epoch of min(u / share, 1) for u from 0 to 1, the share of the training done.

    Args:
        epoch: epochs finished so far.
        epochs: length of the training.
        share: of the training, that the rise takes; 0 means no rise at all.
    """
    start, end = epoch / epochs, (epoch + 1) / epochs
    if start >= share:
        return 1.0
    top = min(end, share)
    return ((top - start) * (start + top) / (2 * share) + end - top) / (end - start)


def ramp_up(epoch: int, *, epochs: int, share: float) -> float:
    """Share of the distill weight that is on in an epoch.

    It rises as exp(-5 (1 - min(t, R)/R)^2) over t = 0, ..., 299, the epochs of the published
    trainings, and R = 300 share (Kim et al. 2020, arXiv:1904.09058; the form is that of Laine and
    Aila 2017, arXiv:1610.02242, section 2.1). An epoch of a training of another length has the
    mean of the steps that fall into it, so that the mean over the training depends on the share
    alone.

    Args:
        epoch: epochs finished so far.
        epochs: length of the training.
        share: of the training, that the rise takes; 0 means no rise at all.
    """
    length = round(share * STEPS, 9)
    if length == 0:
        return 1.0
    first, end = epoch * STEPS, (epoch + 1) * STEPS  # one step is as long as `epochs` of these
    steps = range(first // epochs, -(-end // epochs))
    within = [min(end, (t + 1) * epochs) - max(first, t * epochs) for t in steps]
    weights = [math.exp(-5.0 * (1.0 - min(t, length) / length) ** 2) for t in steps]
    return weights[0] + math.fsum(
        n / STEPS * (w - weights[0]) for n, w in zip(within, weights, strict=True)
    )


def warmup_lr(epoch: int, *, warmup_epochs: int, lr: float) -> float:
    """Learning rate that rises in equal steps: lr/W, 2 lr/W, ..., lr over W epochs.

    Goyal et al. 2017, arXiv:1706.02677, section 2.2, with a step per epoch.

    Args:
        epoch: epochs finished so far, less than warmup_epochs.
    """
    return lr * (epoch + 1) / warmup_epochs


def step_lr(
    epoch: int, *, epochs: int, lr: float, milestones: Sequence[float], decay: float
) -> float:
    """Learning rate that falls by a factor at each milestone.

    Args:
        epoch: epochs finished so far.
        epochs: length of the training.
        milestones: shares of the training in (0, 1]; 0.5 of 300 epochs is epoch 150.
        decay: the factor at each milestone.
    """
    passed = sum(epoch >= round(milestone * epochs) for milestone in milestones)
    return lr * decay**passed


def cosine_lr(epoch: int, *, epochs: int, lr: float) -> float:
    """Half a cosine from lr towards 0 (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5)."""
    return lr * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))


def linear_lr(epoch: int, *, epochs: int, lr: float) -> float:
    """A straight line from lr towards 0, which it would reach at the epoch after the last."""
    return lr * (1.0 - epoch / epochs)
