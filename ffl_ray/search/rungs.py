"""Rungs: the epochs at which a scheduler may judge a trial, and the first one that is fair.

A trial is not judged before what is searched has acted: the ramp-up of the distillation has ended
and the learning rate has fallen. Nor late: a rung above half of the training saves little, and
takes a nearly trained trial from the report, the front and the confirmation.
"""

from __future__ import annotations

import math
from itertools import count, takewhile
from typing import NamedTuple

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import Config, OptimConfig, ResolvedConfig, SearchConfig
from ffl_ray.errors import SettingError

LATEST = 0.5
MOST_BRACKETS = 3
SECONDS = "accelerator-seconds"


class Fair(NamedTuple):
    """The finished epochs before which no trial of a training is judged fairly.

    Attributes:
        ramp_up: until the distillation has its whole weight.
        lr: until the learning rate has fallen.
    """

    ramp_up: int
    lr: int

    @property
    def epochs(self) -> int:
        """Both."""
        return max(1, self.ramp_up, self.lr)


def fair(config: Config | ResolvedConfig) -> Fair:
    """The first fair epoch of a training."""
    epochs = config.optim.epochs
    if isinstance(config.distill.ramp_up, float):
        ramp_up = config.distill.ramp_up
    else:
        ramp_up = resolved_distill(config.distill).ramp_up
    return Fair(_whole(ramp_up * epochs), _fallen(config.optim))


def _fallen(optim: OptimConfig) -> int:
    """Finished epochs until the learning rate has fallen: to half of its peak, or at all.

    At a peak's learning rate trials differ by how they bear it. On the grid of the digits (224
    trainings of 12 epochs, cosine) the rank correlation of an epoch with the end is .27, .46, .74,
    .74 and .80 from the third to the seventh; with its rung after the sixth a search is better than
    with one after the fifth, the fourth or the first (docs/performance.md).
    """
    warmup = round(optim.warmup * optim.epochs)
    if optim.lr_schedule == "step" and optim.lr_milestones:
        return warmup + round(min(optim.lr_milestones) * (optim.epochs - warmup)) + 1
    if optim.lr_schedule in ("constant", "step"):
        return warmup
    return max(warmup, optim.epochs // 2)


def _whole(epochs: float) -> int:
    return math.ceil(round(epochs, 9))


def with_own_grace(search: SearchConfig, training: Config) -> SearchConfig:
    """The settings of a search; a grace that is left to the training is its first fair epoch."""
    if search.grace is not None:
        return search
    share = min(1.0, fair(training).epochs / training.optim.epochs)
    return search.model_copy(update={"grace": share})


def check_rungs(search: SearchConfig) -> None:
    """Check that a scheduler has the rungs whose unit is set.

    Raises:
        SettingError: the median rule is to count in seconds.
    """
    if search.scheduler == "median" and search.rung_unit == SECONDS:
        raise SettingError(
            f"search.rung_unit {SECONDS} takes search.scheduler asha or hyperband, not median, "
            f"which has no rungs"
        )


def grace_epochs(search: SearchConfig, epochs: int) -> int:
    """Epochs before which no trial is stopped: the first rung; of no grace half of them."""
    grace = LATEST if search.grace is None else search.grace
    return max(1, int(round(grace * epochs, 9)))


def latest_epoch(epochs: int) -> float:
    """The epoch behind which there is no rung."""
    return LATEST * epochs


def rung_epochs(search: SearchConfig, epochs: int, latest: float | None = None) -> list[float]:
    """The rungs of ASHA in rising order; none where the first one would lie too late.

    Powers of the factor, as in Ray Tune: products of products are rounded otherwise.

    Args:
        latest: there is none behind this epoch; half of the training by default.
    """
    last = latest_epoch(epochs) if latest is None else latest
    first, factor = grace_epochs(search, epochs), search.reduction_factor
    return list(takewhile(lambda rung: rung <= last, (first * factor**k for k in count())))


def num_brackets(search: SearchConfig, epochs: int) -> int:
    """Hyperband's brackets: one for each rung, and three at most."""
    return max(1, min(MOST_BRACKETS, len(rung_epochs(search, epochs))))
