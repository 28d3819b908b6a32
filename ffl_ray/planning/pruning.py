"""What pruning can know of a trial: the steps before its first decision, and what acted by then."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ffl_ray.config.settings import ResolvedConfig, SearchConfig
from ffl_ray.search.points import Point
from ffl_ray.search.rungs import SECONDS, fair, grace_epochs, latest_epoch

# On the digits' grid 90% of 224 networks are worse than a guess (by NLL) after 39 steps, 25% after
# 52, 4% after 65.
FEWEST_STEPS = 60


def pruning_advice(
    sampled: Sequence[Point], search: SearchConfig, num_train: int, num_classes: int
) -> list[str]:
    """Lines with the fix when trials would be stopped before they learn, or never; else none.

    Args:
        num_train: images to train on.
    """
    if search.scheduler == "none":
        return []
    configs = [point.config for point in sampled]
    latest = max(configs, key=lambda config: fair(config).epochs / config.optim.epochs)
    found = _no_rung(search, latest) or _too_early(search, latest)
    found = found or _at_chance(search, configs, num_train, num_classes)
    return [*found, *_in_seconds(search)]


def _in_seconds(search: SearchConfig) -> list[str]:
    """What rungs in seconds do, which a forecast by epochs does not hold."""
    if search.rung_unit != SECONDS:
        return []
    return [
        f"search.rung_unit {SECONDS}: at a rung a trial is held against what the others had "
        f"reached after as many seconds, so that dear networks are stopped more often than the "
        f"expected time says, and cheap ones less"
    ]


def _no_rung(search: SearchConfig, config: ResolvedConfig) -> list[str]:
    """Nobody is stopped: said with what would change it."""
    epochs = config.optim.epochs
    first = grace_epochs(search, epochs)
    if first <= latest_epoch(epochs):
        return []
    cosine = config.optim.model_copy(update={"lr_schedule": "cosine"})
    then = fair(config.model_copy(update={"optim": cosine})).epochs
    fix = "--scheduler none says so"
    if config.optim.lr_schedule == "step" and then <= latest_epoch(epochs):
        fix = f"--set optim.lr_schedule=cosine has its first rung after epoch {then}, and {fix}"
    return [
        f"{search.scheduler} stops no trial: the first rung would be epoch {first} of {epochs} "
        f"({_acts(config)}), and one behind half of the training saves little: {fix}"
    ]


def _too_early(search: SearchConfig, config: ResolvedConfig) -> list[str]:
    """A grace, set or the base's own, judges before what a trial searches has acted."""
    epochs = config.optim.epochs
    first, least = grace_epochs(search, epochs), fair(config).epochs
    if first >= least:
        return []
    fix = "--scheduler none judges nobody"
    if least <= latest_epoch(epochs):
        fix = f"--set search.grace={math.ceil(100 * least / epochs) / 100:.2g} does not"
    return [
        f"search.grace={search.grace:.3g} judges trials after epoch {first} of {epochs}, too "
        f"early: {_acts(config)}; {fix}"
    ]


def _acts(config: ResolvedConfig) -> str:
    found = fair(config)
    return (
        f"the distillation's ramp-up lasts until epoch {found.ramp_up}, and the learning rate has "
        f"fallen after epoch {found.lr}"
    )


def _at_chance(
    search: SearchConfig, configs: Sequence[ResolvedConfig], num_train: int, num_classes: int
) -> list[str]:
    found = []
    for config in configs:
        a_epoch = math.ceil(num_train / config.optim.batch_size)
        epochs = config.optim.epochs
        found.append((grace_epochs(search, epochs) * a_epoch, a_epoch, epochs))
    steps, a_epoch, epochs = min(found)
    if steps >= FEWEST_STEPS:
        return []
    needed = math.ceil(FEWEST_STEPS / a_epoch)
    fix = "more epochs, or a smaller optim.batch_size"
    if needed <= latest_epoch(epochs):
        fix = f"--set search.grace={math.ceil(100 * needed / epochs) / 100:.2g}, {fix}"
    return [
        f"a trial may be stopped after {steps} steps ({a_epoch} an epoch), where accuracy is "
        f"still chance, {1 / num_classes:.2f} of {num_classes} classes: {fix}"
    ]
