"""The expected gain per second of a training that may be looked at once and given up."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from benchmarks.freeze_thaw.curves import Array, Ints

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def expected_gain(mean: Array, sd: Array, best: float) -> Array:
    """By how much a normal variable falls below the best, on average, counting only where it does.

    Jones et al. 1998, "Efficient global optimization", equation 15.
    """
    z = (best - mean) / sd
    return np.asarray(sd * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)))


def gain_rate(
    mean: Array, variances: Array, epoch_s: Array, trained: Ints, best: float, fair: int = 1
) -> Array:
    """The gain per second of each training by the best plan with one look.

    A plan trains as far as an epoch, looks, and goes on to the end where the belief is below some
    bound; gain and seconds are means over what the look may show. The look at the end is the plan
    of training on whatever comes.

    Args:
        mean: (trainings,) of the belief in the worth of their points.
        variances: (trainings, 1 + epochs) of that belief after each epoch, from none.
        epoch_s: (trainings,) seconds of an epoch.
        trained: (trainings,) finished epochs.
        best: the lowest mean among the points with a completed training.
        fair: the first epoch after which a training may be looked at.
    """
    epochs = variances.shape[1] - 1
    looks = np.arange(1, epochs + 1)
    now = np.take_along_axis(variances, trained[:, None], axis=1)
    moved = np.sqrt(np.maximum(now - variances[:, looks], 0.0))
    left = np.sqrt(np.maximum(variances[:, looks] - variances[:, -1:], 1e-12))
    seen = mean[:, None, None] + moved[..., None] * NODES
    gains = np.cumsum(expected_gain(seen, left[..., None], best) * WEIGHTS, axis=2)
    going_on = np.cumsum(WEIGHTS) * (epochs - looks)[:, None]
    costs = (looks - trained[:, None])[..., None] + going_on
    allowed = (looks >= np.maximum(trained + 1, fair)[:, None])[..., None]
    rates = np.where(allowed, gains / np.where(allowed, costs, 1.0), 0.0)
    return np.asarray(rates.max(axis=(1, 2)) / epoch_s)
