"""How often an interval holds the true difference, and how often each verdict comes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from benchmarks.verdicts.drawn import drawn
from ffl_ray.results.crossed import Effect, crossed, over_seeds
from ffl_ray.results.statistics import summary
from ffl_ray.results.verdicts import Difference, judged

SEEDS, IMAGES = (2, 3, 5, 10, 20), (300, 1000, 10_000)
ACCURACIES = {"55%": (0.55, 0.55), "99%": (0.99, 0.985)}
MARGIN = 0.005


def holds(effect: Effect, truth: float) -> bool:
    """Whether the 95% interval holds the true mean."""
    return abs(effect.mean - truth) <= effect.half()


def coverage(repeats: int, seed: int = 0) -> pd.DataFrame:
    """Shares of intervals that hold the truth: over seeds and images, and over seeds alone."""
    rows = []
    for name, accuracies in ACCURACIES.items():
        for images in IMAGES:
            for seeds in SEEDS:
                rng = np.random.default_rng([seed, images, seeds])
                held = np.zeros(3)
                for _ in range(repeats):
                    d = drawn(rng, seeds, images, accuracies)
                    alone = over_seeds(summary(d.right.mean(1).tolist()))
                    held += [
                        holds(crossed(d.right, step=1), d.true_right),
                        holds(crossed(d.nll), d.true_nll),
                        holds(alone, d.true_right),
                    ]
                shares = dict(zip(("accuracy", "NLL", "seeds alone"), held / repeats, strict=True))
                rows.append({"accuracies": name, "images": images, "seeds": seeds, **shares})
    return pd.DataFrame(rows)


def verdict_shares(repeats: int, seed: int = 1) -> pd.DataFrame:
    """Shares of each verdict on 10,000 images by true difference and number of seeds."""
    rows = []
    for points in (0.0, 0.25, 0.5, 1.0, 2.0):
        for seeds in SEEDS:
            rng = np.random.default_rng([seed, seeds, round(100 * points)])
            counts: Counter[str] = Counter()
            for _ in range(repeats):
                d = drawn(rng, seeds, 10_000, (0.55 + points / 100, 0.55))
                effect = crossed(d.right, step=1)
                counts[judged([Difference(effect, "up", MARGIN)])[0].verdict] += 1
            shares = {v: counts[v] / repeats for v in ("better", "worse", "equal", "undecided")}
            rows.append({"points": points, "seeds": seeds, **shares})
    return pd.DataFrame(rows)
