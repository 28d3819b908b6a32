"""One effect over several data sets, each of which has its own: a hierarchical model.

The true effects of data sets are drawn from a normal distribution (DerSimonian and Laird 1986,
Controlled Clinical Trials 7, 177). The interval of its mean, the effect over data sets like these,
is that of Hartung and Knapp (2001, Statistics in Medicine 20, 3875), Student's t over the data
sets; that of another data set's effect is wider (Higgins, Thompson and Spiegelhalter 2009, Journal
of the Royal Statistical Society A 172, 137).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ffl_ray.results.crossed import Effect
from ffl_ray.results.statistics import Summary, t_quantile


def over_data_sets(means: Sequence[float], variances: Sequence[float]) -> Effect:
    """The mean effect over data sets; its n is how many there are.

    Args:
        means: of each data set.
        variances: of these means, by seeds and images; above 0.
    """
    theta, v = np.asarray(means, float), np.asarray(variances, float)
    weights = 1 / (v + _between(theta, v))
    mean = float((weights * theta).sum() / weights.sum())
    spread = float((weights * (theta - mean) ** 2).sum())
    freedom = max(len(theta) - 1, 1)
    return Effect(
        n=len(theta),
        mean=mean,
        over_seeds=spread / (freedom * float(weights.sum())),
        over_images=0.0,
        least=1 / float(weights.sum()),
    )


def of_another(means: Sequence[float], variances: Sequence[float]) -> Summary | None:
    """What the true effect on another data set is expected to be, with its 95% interval.

    Args:
        means, variances: as in `over_data_sets`.

    Returns:
        None below three data sets, which say nothing of how much they differ.
    """
    if len(means) < 3:
        return None
    found = over_data_sets(means, variances)
    between = _between(np.asarray(means, float), np.asarray(variances, float))
    error = math.sqrt(between + max(found.over_seeds, found.least))
    half = t_quantile(found.n - 2) * error
    return Summary(found.n, found.mean, None, found.mean - half, found.mean + half)


def _between(theta: np.ndarray, v: np.ndarray) -> float:
    """The variance of the true effects between data sets, by moments; 0 at least."""
    weights = 1 / v
    mean = (weights * theta).sum() / weights.sum()
    q = float((weights * (theta - mean) ** 2).sum())
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    return max(0.0, (q - (len(theta) - 1)) / scale) if scale > 0 else 0.0
