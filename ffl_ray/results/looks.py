"""A t-test that is looked at after every seed, up to a number that was fixed before.

At each look the same nominal level counts, so low that where the true mean is 0 any look passes it
with the probability that is asked for (Pocock 1977, Biometrika 64, 191). How low follows from the
t statistics of growing samples, whose joint distribution under a mean of 0 does not depend on the
standard deviation: it is drawn here, once for each number of looks, and two standard errors of the
draws are kept off. Of the shapes of Wang and Tsiatis (1987, Biometrics 43, 193) the flat one ends
first where differences are of one standard deviation and more (docs/verdicts.md).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr

FIRST_LOOK = 4  # seeds, unless more are asked for; fewer see differences of many deviations alone
# Of a new race. The images are the same at all looks: of the error so much is theirs at each of
# them, whatever their share of the variance is. With so many seeds all looks err in 5%,
# with more in more, where the images have a few tenths of one seed's deviation (docs/verdicts.md).
MOST_SEEDS, IMAGES_SHARE = 30, 0.6
# Of one that a version before planned. The draws take memory and time by the seed: 0.5 GB here.
MOST_READ = 500
DRAWS, CHUNK = 200_000, 20_000


class Looked(NamedTuple):
    """How often effects are looked at.

    Attributes:
        looks: one after each seed; 1: once, when all are there.
        first: seeds of the first one.
    """

    looks: int = 1
    first: int = FIRST_LOOK


ONCE = Looked()


def looked_at(looks: int, seeds: int) -> Looked:
    """So many looks, of which the last has so many seeds."""
    return Looked(looks, seeds - looks + 1)


def nominal(alpha: float, looks: int, first: int = FIRST_LOOK) -> float:
    """The two-sided level of each look at which all of them err with this probability at most.

    Args:
        looks: one after each seed.
        first: seeds of the first one.

    Raises:
        ValueError: there are more than any race has.
    """
    check_looks(looks, first)
    if looks == 1:
        return alpha
    # With the least p of k draws below it, k + 2 sqrt(k) of them are counted.
    k = math.floor((math.sqrt(1 + alpha * DRAWS) - 1) ** 2)
    drawn = float(_least_levels(looks, first)[k - 1]) * (1 - 1e-12) if k else 0.0
    return max(alpha / looks, drawn)


def check_looks(looks: int, first: int = FIRST_LOOK) -> int:
    """A number of looks that a race of this version or the one before has.

    Args:
        first: seeds of the first one.

    Raises:
        ValueError: it is none.
    """
    most = MOST_READ - first + 1
    if type(looks) is not int or not 1 <= looks <= most:
        raise ValueError(f"looks must be from 1 to {most}, not {str(looks)[:80]}")
    return looks


@functools.lru_cache(maxsize=8)
def _least_levels(looks: int, first: int) -> Float[np.ndarray, "draws"]:
    """The least p of all looks, sorted, of draws whose mean is 0."""
    return np.sort(np.concatenate(list(_drawn(looks, first))))


def _drawn(looks: int, first: int) -> Iterator[Float[np.ndarray, "chunk"]]:
    """The same in parts."""
    rng = np.random.default_rng(0)
    n = np.arange(1, first + looks)
    at = slice(first - 1, None)
    for _ in range(DRAWS // CHUNK):
        values = rng.standard_normal((CHUNK, len(n)))
        sums = values.cumsum(1)
        left = (values**2).cumsum(1) - sums**2 / n
        t = sums[:, at] / np.sqrt(n[at] * left[:, at] / (n[at] - 1))
        yield 2 * stdtr(n[at] - 1, -abs(t)).min(1)
