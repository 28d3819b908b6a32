"""What it costs to look after every seed: error over all looks, and seeds until a verdict."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import ndtri, stdtrit

from ffl_ray.results.crossed import ALPHA, Effect
from ffl_ray.results.looks import FIRST_LOOK, IMAGES_SHARE, nominal

MOST = 20
LOOKS = MOST - FIRST_LOOK + 1
CHUNK = 1000


class Race(NamedTuple):
    """The end of a race: the verdict, and after how many seeds."""

    verdict: str
    seeds: int


def effects_of(differences: Float[np.ndarray, "seeds"], of_images: float) -> list[Effect]:
    """The effect after each look at differences by seed.

    Args:
        of_images: variance of their mean that comes of the images.
    """
    counts = range(FIRST_LOOK, len(differences) + 1)
    return [
        Effect(n, float(some.mean()), float(some.var(ddof=1)) / n, of_images)
        for n in counts
        for some in (differences[:n],)
    ]


def raced(effects: list[Effect], margin: float | None, *, looks: int) -> Race:
    """The first look that decides, or the last."""
    for effect in effects:
        one = effect._replace(looks=looks)
        if one.half(ALPHA) < abs(one.mean):
            return Race("better" if one.mean > 0 else "worse", one.n)
        if margin is not None and abs(one.mean) + one.half(2 * ALPHA) < margin:
            return Race("equal", one.n)
    return Race("undecided", effects[-1].n)


def races(
    repeats: int,
    effect: float,
    images: float,
    *,
    looks: int = LOOKS,
    fixed: bool = False,
    margin: float | None = None,
    seed: int = 0,
) -> pd.Series[float]:
    """Shares of verdicts, and the mean number of seeds.

    Args:
        effect: true difference in its standard deviations over seeds.
        images: standard deviation of what all seeds' differences share, likewise.
        looks: that are allowed for; 1: none is.
        fixed: one look, at the last seed.
        margin: within which it is equal, likewise; none: nothing is.
    """
    rng = np.random.default_rng([seed, round(100 * effect), round(100 * images)])
    ends = []
    for _ in range(repeats):
        differences = effect + images * rng.standard_normal() + rng.standard_normal(MOST)
        effects = effects_of(differences, images**2)
        ends.append(raced(effects[-1:] if fixed else effects, margin, looks=looks))
    names = [end.verdict for end in ends]
    shares = {name: names.count(name) / repeats for name in ("better", "worse", "equal")}
    return pd.Series(shares | {"seeds": float(np.mean([end.seeds for end in ends]))})


def errors(repeats: int) -> pd.DataFrame:
    """How often a difference is found where there is none, and equal said of one of the margin.

    Looking 17 times; the margin is one standard deviation over seeds.
    """
    rows = []
    for images in (0.0, 0.1, 0.3, 1.0):
        for name, looks in (("Student's t", 1), ("for all looks", LOOKS)):
            found = races(repeats, 0.0, images, looks=looks)
            wrong = found["better"] + found["worse"]
            at_margin = races(repeats, 1.0, images, looks=looks, margin=1.0)
            row = {"images": images, "test": name, "false": wrong}
            rows.append(row | {"false equal": at_margin["equal"], "seeds": found["seeds"]})
    return pd.DataFrame(rows)


def savings(repeats: int) -> pd.DataFrame:
    """Seeds until a true difference is found, against one look at 20."""
    rows = []
    for effect in (0.66, 1.0, 1.5, 2.0, 3.0, 5.0):
        race = races(repeats, effect, 0.1)
        fixed = races(repeats, effect, 0.1, looks=1, fixed=True)
        rows.append(
            {
                "effect": effect,
                "found by the race": race["better"],
                "by 20 seeds": fixed["better"],
                "seeds": race["seeds"],
                "times fewer": MOST / race["seeds"],
            }
        )
    return pd.DataFrame(rows)


def most(repeats: int) -> pd.DataFrame:
    """How often a race of up to so many seeds finds a difference where there is none.

    Where the images have such a share of the deviation of one seed, and at the worst of them.
    """
    rows = []
    for seeds in (20, 30, 50, 100, 500):
        found = {images: false_of(repeats, seeds, images) for images in (0.0, 0.05, 0.1, 0.2, 0.3)}
        named = {f"{images:g}": share for images, share in found.items()}
        rows.append({"most seeds": seeds, **named, "worst": max(found.values())})
    return pd.DataFrame(rows)


def false_of(repeats: int, seeds: int, images: float) -> float:
    """The share of races of up to so many seeds that find a difference where there is none.

    Args:
        images: standard deviation of what all seeds' differences share, in that of one seed.
    """
    rng, n = np.random.default_rng([seeds, round(100 * images)]), np.arange(1, seeds + 1)
    level = nominal(ALPHA, seeds - FIRST_LOOK + 1)
    of_images = (ndtri(1 - IMAGES_SHARE * ALPHA / 2) * images) ** 2
    wrong, at = 0, slice(FIRST_LOOK - 1, None)
    for _ in range(0, repeats, CHUNK):
        drawn = images * rng.standard_normal((CHUNK, 1)) + rng.standard_normal((CHUNK, seeds))
        sums = drawn.cumsum(1)
        v = ((drawn**2).cumsum(1) - sums**2 / n)[:, at] / (n[at] * (n[at] - 1))
        half = np.sqrt(stdtrit(n[at] - 1, 1 - level / 2) ** 2 * v + of_images)
        wrong += int((abs(sums[:, at] / n[at]) > half).any(1).sum())
    return wrong / (-(-repeats // CHUNK) * CHUNK)
