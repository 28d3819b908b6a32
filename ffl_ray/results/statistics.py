"""Repeated measurements: mean, spread and 95% intervals.

Student's t throughout: the runs of one config differ by their seed alone and are few (Student
1908, "The Probable Error of a Mean", Biometrika 6, 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

from scipy.special import stdtrit

CONFIDENCE = 0.95

Direction = Literal["up", "down"]

DIRECTIONS: dict[str, Direction] = {
    "accuracy": "up",
    "top5": "up",
    "nll": "down",
    "ece": "down",
}


class Summary(NamedTuple):
    """What n measurements of one thing say.

    Attributes:
        n: how many there are; a missing one or NaN does not count.
        mean: None when there is none.
        std: of the sample (n - 1 in the denominator); None below two.
        low: the lower end of the mean's 95% interval; None below two.
        high: its upper end.
    """

    n: int
    mean: float | None
    std: float | None
    low: float | None
    high: float | None

    @property
    def half(self) -> float | None:
        """Half the interval's width: what stands behind the plus-minus."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def summary(values: Iterable[float | None]) -> Summary:
    """Mean, sample standard deviation and the mean's interval: mean +- t(n - 1) std / sqrt(n)."""
    numbers = [value for value in values if value is not None and not math.isnan(value)]
    n = len(numbers)
    if n == 0:
        return Summary(0, None, None, None, None)
    mean = math.fsum(numbers) / n
    if n == 1:
        return Summary(1, mean, None, None, None)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in numbers) / (n - 1))
    half = t_quantile(n - 1) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - half, mean + half)


def t_quantile(degrees: int) -> float:
    """How many standard errors the two-sided 95% interval reaches to each side."""
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """The 95% interval of a share of so many independent tries (Wilson 1927, JASA 22, 209)."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, pull = hits / count, z**2 / count
    centre, half = share + pull / 2, z * math.sqrt((share * (1 - share) + pull / 4) / count)
    return max(0.0, (centre - half) / (1 + pull)), min(1.0, (centre + half) / (1 + pull))


def shown(values: Sequence[float | None] | Summary, scale: float = 1.0, digits: int = 2) -> str:
    """A mean with its half interval: `70.12 ± 0.34`; without one the mean alone.

    Args:
        scale: 100 shows fractions as percent.
    """
    found = values if isinstance(values, Summary) else summary(values)
    if found.mean is None:
        return "-"
    mean = f"{found.mean * scale:.{digits}f}"
    return mean if found.half is None else f"{mean} ± {found.half * scale:.{digits}f}"
