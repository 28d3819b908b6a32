"""How many more trials would tell what a search has seen, if that is what there is."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import ncfdtr
from scipy.stats import f as f_distribution

ALPHA = 0.05
POWER = 0.8
MOST_TIMES = 20


def more_by_share(n: int, columns: int, free: int, share: float, num_tests: int) -> int | None:
    """By the share of the differences that a dimension explains; none where no number does.

    Args:
        n: trials so far.
        columns: that the dimension adds to the model.
        free: degrees of freedom that are left.
        num_tests: dimensions, for which is corrected.
    """
    if columns == 0 or free < 1:
        return None
    unbiased = 1 - (1 - share) * (free + columns) / free
    if unbiased <= 0:
        return None
    strength = unbiased / (1 - unbiased)
    lost = n - free

    def lacking(total: float) -> float:
        bound = f_distribution.isf(ALPHA / num_tests, columns, total - lost)
        missed = float(ncfdtr(columns, total - lost, strength * total, bound))
        return POWER - 1 if math.isnan(missed) else POWER - (1 - missed)  # not a number: far off

    if lacking(n) <= 0:
        return 1
    if lacking(MOST_TIMES * n) > 0:
        return None
    enough: float = brentq(lacking, n, MOST_TIMES * n)
    return math.ceil(enough - n)


def more_by_size(n: int, effect: float, detectable: float) -> int | None:
    """Until the size that was seen is one that is seen: intervals narrow by the root of n.

    A share of ranks alone says little where few degrees of freedom are left.

    Args:
        effect: that was seen.
        detectable: the least that n trials show.
    """
    if not effect or math.isinf(detectable):
        return None
    more = n * ((detectable / effect) ** 2 - 1)
    return max(1, math.ceil(more)) if more <= MOST_TIMES * n else None
