"""Where successive halving begins, and in how many brackets."""

from __future__ import annotations

import math

from ffl_ray.config.settings import SearchConfig

MOST_BRACKETS = 3


def grace_epochs(search: SearchConfig, epochs: int) -> int:
    """Before so many epochs no trial is stopped."""
    return min(search.grace_epochs or max(1, epochs // 9), epochs)


def num_brackets(search: SearchConfig, epochs: int) -> int:
    """As many as have a rung within the training, and three at most."""
    rungs = math.log(epochs / grace_epochs(search, epochs)) / math.log(search.reduction_factor)
    return min(MOST_BRACKETS, int(rungs + 1e-9) + 1)
