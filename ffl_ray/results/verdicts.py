"""Verdicts on paired differences: better, worse, equal within a margin, undecided.

Among many the p are Holm's, so that of all verdicts that differ from the truth there is any with a
probability of 5% at most, and likewise of all that say equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from ffl_ray.results.crossed import ALPHA, Effect
from ffl_ray.results.statistics import Direction

Verdict = Literal[
    "better",
    "worse",
    "equal",
    "undecided",
    "one run: no verdict",
    "no pair: no verdict",
    "one side fails: no verdict",
    "not all seeds: no verdict",
]
DECIDED = ("better", "worse", "equal")
NONE = "no verdict"  # what those end with that say why
WAITS: Verdict = "not all seeds: no verdict"
FAILS: Verdict = "one side fails: no verdict"
CLOSED = (*DECIDED, FAILS)  # for which no seed is added


def word_of(verdict: str) -> str:
    """A verdict's word, or that there is none; what is of the version before is undecided."""
    if verdict.endswith(NONE):
        return NONE
    return verdict if verdict in DECIDED else "undecided"


class Difference(NamedTuple):
    """A difference that is to be judged.

    Attributes:
        effect: ours minus theirs, paired; none: no pair is complete.
        direction: whether more is better, or less.
        margin: differences below it do not matter; none: all do, and nothing is equal.
        looks: the same effect at each earlier look, valid at any time; the least p counts.
        planned: seeds without which there is no verdict; 0: whatever is there counts.
        fails: no pair is complete, and of one side every training failed that the first look asks.
    """

    effect: Effect | None
    direction: Direction
    margin: float | None = None
    looks: Sequence[Effect] = ()
    planned: int = 0
    fails: bool = False

    @property
    def waits(self) -> bool:
        """Whether a planned seed is missing: whoever ends at will errs far above the level."""
        return (0 if self.effect is None else self.effect.n) < self.planned

    @property
    def tested(self) -> list[Effect]:
        """The effects of all looks that are of two seeds and more."""
        last = [] if self.effect is None else [self.effect]
        return [effect for effect in (*self.looks, *last) if effect.n > 1]


class Judged(NamedTuple):
    """A verdict, and what it rests on.

    Attributes:
        verdict: of ours.
        p: that there is no difference, corrected for the others of its family.
        p_equal: that it is the margin or more, likewise; none where there is no margin.
        detectable: the smallest true difference that would have been seen, at a power of 80%.
        seeds: how many would settle it in a plan of a fixed number, which after a race may be
            fewer; none where it is settled, or no number would.
        images: whether more images would where no seeds do; none where seeds do, or it is settled.
    """

    verdict: Verdict
    p: float | None = None
    p_equal: float | None = None
    detectable: float | None = None
    seeds: int | None = None
    images: bool | None = None


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Each p corrected for how many there are (Holm 1979, Scandinavian J. of Statistics 6, 65)."""
    order = sorted((value, place) for place, value in enumerate(p) if value is not None)
    found: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, (value, place) in enumerate(order):
        highest = max(highest, min(1.0, value * (len(order) - rank)))
        found[place] = highest
    return found


def judged(family: Sequence[Difference]) -> list[Judged]:
    """The verdicts on a family of differences, corrected for how many they are."""
    p = holm([_least(one, Effect.p_different) for one in family])
    equal = holm([_least_equal(one) for one in family])
    alpha = ALPHA / max(1, sum(value is not None for value in p))
    return [_judged(one, a, b, alpha) for one, a, b in zip(family, p, equal, strict=True)]


def _least(one: Difference, p_of: Callable[[Effect], float]) -> float | None:
    """The least p of all looks; none: it has none. One that waits counts in its family."""
    if one.waits:
        return 1.0
    return min((p_of(effect) for effect in one.tested), default=None)


def _least_equal(one: Difference) -> float | None:
    margin = one.margin
    return None if margin is None else _least(one, lambda effect: effect.p_equal(margin))


def _judged(one: Difference, p: float | None, p_equal: float | None, alpha: float) -> Judged:
    effect = one.effect
    if effect is None:
        return Judged(FAILS if one.fails else "no pair: no verdict")
    if one.waits:
        return Judged(WAITS)
    if p is None:
        return Judged("one run: no verdict")
    clearest = min(one.tested, key=Effect.p_different)
    verdict = _verdict(clearest.mean, one.direction, p, p_equal)
    found = Judged(verdict, p, p_equal, effect.detectable(alpha))
    if verdict != "undecided":
        return found
    seeds = effect.settled_by(one.margin, alpha)
    images = effect.lacks_images(one.margin, alpha) if seeds is None else None
    return found._replace(seeds=seeds, images=images)


def _verdict(mean: float, direction: Direction, p: float, p_equal: float | None) -> Verdict:
    if p <= ALPHA:
        return "better" if (mean > 0) == (direction == "up") else "worse"
    return "equal" if p_equal is not None and p_equal <= ALPHA else "undecided"
