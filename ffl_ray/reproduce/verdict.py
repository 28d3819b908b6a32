"""Ours beside a published value: the difference, and whether it lies in the band.

The band is the published mean with two of its standard deviations to each side, or, for an anchor,
the plausible range. Ours is in the band when its mean is, and its 95% interval (Student's t over
seeds) is no wider than the band, or, where one end of the band is open, does not pass the other;
it is out of it when its whole interval is; else it is undecided, and it is said how many seeds
would tell. One run has no interval, a value printed without spread has no band, a run that departs
from what was published is not comparable, and a row whose runs have not all ended would be looked
at more than once: none of these gets a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from ffl_ray.reproduce.rows import Band, Figure, Row
from ffl_ray.results.statistics import Summary, summary, t_quantile

MOST_SEEDS = 1000
Accuracies = Mapping[str, float]
Verdict = Literal[
    "in band",
    "out of band",
    "undecided",
    "one run: no verdict",
    "no band: no verdict",
    "not comparable: no verdict",
    "not all seeds: no verdict",
    "not trained",
]


class Reproduced(NamedTuple):
    """A row and what came out here, in percent.

    Attributes:
        ours: over the seeds.
        difference: ours minus the published mean; None where there is no mean.
        verdict: as this module's docstring defines it.
        seeds: of an undecided one, how many would tell, were mean and spread what they are.
    """

    row: Row
    ours: Summary
    difference: Summary | None
    verdict: Verdict
    seeds: int | None = None


def reproduced(
    row: Row, runs: Mapping[int, Accuracies], *, comparable: bool, whole: bool = True
) -> Reproduced:
    """Hold the runs of a row's training against the row.

    Args:
        runs: test accuracies of the members, fractions, by seed.
        comparable: the runs depart in nothing from what was published.
        whole: all that are asked for have ended.
    """
    values = [100 * figure_of(row.figure, runs[seed]) for seed in sorted(runs)]
    ours = summary(values)
    difference = None if row.mean is None else summary(value - row.mean for value in values)
    verdict = verdict_of(row.band, ours, comparable=comparable, whole=whole)
    seeds = None
    if verdict == "undecided" and row.band is not None:
        seeds = seeds_to_tell(row.band, ours)
    return Reproduced(row, ours, difference, verdict, seeds)


def figure_of(figure: Figure, accuracies: Accuracies) -> float:
    """The compared figure of one run: a member's accuracy, or a difference of two."""
    if figure == "mean_branch":
        branches = [value for name, value in accuracies.items() if name.startswith("branch")]
        return sum(branches) / len(branches)
    if figure == "fused - mean_branch":
        return accuracies["fused"] - figure_of("mean_branch", accuracies)
    return accuracies[figure]


def verdict_of(
    band: Band | None, ours: Summary, *, comparable: bool, whole: bool = True
) -> Verdict:
    """The verdict on ours: whether it lies in the band, or why that can't be said."""
    if ours.mean is None:
        return "not trained"
    if not comparable:
        return "not comparable: no verdict"
    if band is None:
        return "no band: no verdict"
    if not whole or ours.low is None or ours.high is None:
        return "one run: no verdict" if whole else "not all seeds: no verdict"
    half = (ours.high - ours.low) / 2
    if _reaches(band, ours.mean, ours.mean) and half <= _room(band, ours.mean):
        return "in band"
    return "undecided" if _reaches(band, ours.low, ours.high) else "out of band"


def seeds_to_tell(band: Band, ours: Summary) -> int | None:
    """The fewest seeds of this mean and spread that have a verdict; none: above 1,000.

    Inside the band their interval is to be as `_room` has it, outside to end before it.
    """
    if ours.mean is None or not ours.std:
        return None
    outside = max(
        0.0 if band.low is None else band.low - ours.mean,
        0.0 if band.high is None else ours.mean - band.high,
    )
    reach = (outside if outside > 0 else _room(band, ours.mean)) / ours.std
    counts = range(2, MOST_SEEDS + 1)
    return next((n for n in counts if t_quantile(n - 1) / math.sqrt(n) <= reach), None)


def _room(band: Band, mean: float) -> float:
    """What half an interval is at most inside a band: half of it, or, if open, to its one end."""
    if band.low is not None and band.high is not None:
        return (band.high - band.low) / 2
    ends = [abs(mean - end) for end in (band.low, band.high) if end is not None]
    return min(ends, default=math.inf)


def _reaches(band: Band, low: float, high: float) -> bool:
    """Whether low to high and the band have a point in common."""
    above = band.low is None or high >= band.low
    below = band.high is None or low <= band.high
    return above and below
