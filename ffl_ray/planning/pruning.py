"""What pruning can know of a trial: the steps before its first decision."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ffl_ray.config.settings import SearchConfig
from ffl_ray.planning.forecast import grace_epochs
from ffl_ray.search.points import Point

# A network of two CIFAR ResNets on digits leaves chance behind after some twenty steps.
FEWEST_STEPS = 30


def pruning_advice(
    sampled: Sequence[Point], search: SearchConfig, num_train: int, num_classes: int
) -> list[str]:
    """A line with the fix when trials would be stopped before they learn; else none.

    Args:
        num_train: images to train on.
    """
    if search.scheduler == "none":
        return []
    found = []
    for point in sampled:
        epochs = point.config.optim.epochs
        a_epoch = math.ceil(num_train / point.config.optim.batch_size)
        found.append((grace_epochs(search, epochs) * a_epoch, a_epoch, epochs))
    steps, a_epoch, epochs = min(found)
    if steps >= FEWEST_STEPS or steps >= a_epoch * epochs:
        return []
    needed = min(1.0, math.ceil(FEWEST_STEPS / a_epoch) / epochs)
    return [
        f"a trial may be stopped after {steps} steps ({a_epoch} an epoch), where accuracy is "
        f"still chance, {1 / num_classes:.2f} of {num_classes} classes: --set "
        f"search.grace={needed:.2g}, more epochs, or a smaller optim.batch_size"
    ]
