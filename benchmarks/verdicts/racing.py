"""What it costs to look after every seed: error over all looks, and seeds until a verdict."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from ffl_ray.results.crossed import ALPHA, Effect
from ffl_ray.results.looks import FIRST_LOOK

MOST = 20
LOOKS = MOST - FIRST_LOOK + 1


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
