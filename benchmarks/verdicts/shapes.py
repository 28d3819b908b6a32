"""Levels of the looks of a race, of which it has one: those that rise, are equal, or fall."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.special import ndtri, stdtr

from benchmarks.verdicts.racing import MOST
from ffl_ray.results.crossed import ALPHA
from ffl_ray.results.looks import FIRST_LOOK

# Exponents of Wang and Tsiatis (1987, Biometrics 43, 193).
SHAPES = {"O'Brien and Fleming": 0.0, "between both": 0.25, "Pocock": 0.5, "falling": 0.7}
EFFECTS = (0.66, 1.0, 1.5, 2.0, 3.0)

Looks = Float[np.ndarray, "repeats looks"]


def levels_passed(repeats: int, effect: float, first: int, most: int) -> Looks:
    """The two-sided p of Student's t after each seed, of differences of deviation 1.

    Args:
        effect: their true mean.
        first, most: seeds of the first look and the last.
    """
    drawn = effect + np.random.default_rng(round(100 * effect)).standard_normal((repeats, most))
    n = np.arange(1, most + 1)
    sums = drawn.cumsum(1)
    left = ((drawn**2).cumsum(1) - sums**2 / n)[:, first - 1 :]
    n, sums = n[first - 1 :], sums[:, first - 1 :]
    return np.asarray(2 * stdtr(n - 1, -abs(sums / np.sqrt(n * left / (n - 1)))))


def shapes(repeats: int) -> pd.DataFrame:
    """How often a difference is found by levels of each shape, and after how many seeds."""
    scale = np.arange(FIRST_LOOK, MOST + 1) / MOST
    null = -ndtri(levels_passed(repeats, 0.0, FIRST_LOOK, MOST) / 2)
    rows = []
    for name, exponent in SHAPES.items():
        bent = scale ** (exponent - 0.5)
        bound = float(np.quantile((null / bent).max(1), 1 - ALPHA)) * bent
        row: dict[str, str] = {"levels": name}
        for effect in EFFECTS:
            seen = -ndtri(levels_passed(repeats, effect, FIRST_LOOK, MOST) / 2) >= bound
            row[f"{effect:g}"] = f"{seen.any(1).mean():.0%}, {_seeds(seen):.1f}"
        rows.append(row)
    return pd.DataFrame(rows)


def _seeds(seen: Bool[np.ndarray, "repeats looks"]) -> float:
    """The mean number of seeds until a look sees it, or the last one."""
    after = np.where(seen.any(1), seen.argmax(1), seen.shape[1] - 1)
    return float((after + FIRST_LOOK).mean())


def peeking(repeats: int) -> pd.DataFrame:
    """How often whoever looks after every seed, from two on, sees a difference where none is."""
    rows = [
        {"seeds": most, "false": (levels_passed(repeats, 0.0, 2, most) < ALPHA).any(1).mean()}
        for most in (2, 3, 5, 10, 20)
    ]
    return pd.DataFrame(rows)
