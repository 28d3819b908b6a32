"""One effect over several data sets, each of which has its own: a hierarchical model.

The true effects of data sets are drawn from a normal distribution around the one that is asked for
(DerSimonian and Laird 1986, Controlled Clinical Trials 7, 177); its interval is that of Hartung and
Knapp (2001, Statistics in Medicine 20, 3875), Student's t over the data sets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ffl_ray.results.crossed import Effect


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


def _between(theta: np.ndarray, v: np.ndarray) -> float:
    """The variance of the true effects between data sets, by moments; 0 at least."""
    weights = 1 / v
    mean = (weights * theta).sum() / weights.sum()
    q = float((weights * (theta - mean) ** 2).sum())
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    return max(0.0, (q - (len(theta) - 1)) / scale) if scale > 0 else 0.0
