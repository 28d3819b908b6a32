"""Effects of dimensions on outcomes: sizes with intervals, tests by permutation, power."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from scipy.special import ndtri, stdtrit

from ffl_ray.results.search_answers.dimensions import Dimension
from ffl_ray.results.search_answers.models import (
    RANK_TOLERANCE,
    Column,
    Columns,
    Fit,
    fit_of,
    scores_of,
)
from ffl_ray.results.search_answers.power import ALPHA, POWER, more_by_share, more_by_size
from ffl_ray.results.verdicts import holm

BATCHES, PER_BATCH = 20, 100  # of permutations
TINY = float(np.finfo(float).tiny)
SAME = 1e-6  # of columns that are as good as the same
LONE = 1 - 1e-6  # leverage of a trial that alone has something


class Level(NamedTuple):
    """What one level of a dimension does.

    Attributes:
        name: of the level.
        effect: by how much its mean differs from that of the other levels; not a number: it varied
            together with other dimensions, and nothing tells them apart.
        half: half the 95% interval of that; infinite: that, or as many levels as trials.
        detectable: the smallest true difference that these trials show in four of five cases,
            corrected for the other dimensions; likewise.
        by_rank: the effect on normal scores, in halves of its own 95% interval.
    """

    name: str
    effect: float
    half: float
    detectable: float
    by_rank: float

    @property
    def known(self) -> bool:
        """Whether the data have such a difference."""
        return not math.isnan(self.effect)

    @property
    def sized(self) -> bool:
        """Whether the interval of the effect excludes 0."""
        return abs(self.effect) > self.half

    @property
    def shown(self) -> float:
        """What its direction is taken from: a size only where that is sure, else the ranks."""
        return self.effect if self.sized else self.by_rank


class Answer(NamedTuple):
    """What a search says of one dimension.

    Attributes:
        dimension: its name.
        n: trials that it rests on.
        p: that the dimension does nothing, by permutation, corrected for the other dimensions.
        levels: each with what it does.
        share: of the differences that is left by what is held fast, what the dimension explains;
            of normal scores.
        by_chance: the share that a dimension without effect stays below in 95 of 100 cases.
        in_logs: the effects are of the objective's natural logarithm: factors of it.
        beside: the dimension that it varied together with, or "the others", where for that reason
            no level has an effect of its own.
        predicted: it is told by the predicted ends of trials that were stopped: those that
            completed do not have its direction by themselves.
        more_trials: about how many more would tell, if what was seen is what there is; none where
            it is told already, or nothing was seen that more could show.
    """

    dimension: str
    n: int
    p: float
    levels: list[Level]
    share: float
    by_chance: float
    in_logs: bool = False
    beside: str | None = None
    predicted: bool = False
    more_trials: int | None = None

    @property
    def told(self) -> bool:
        """Whether the dimension does something."""
        return self.p <= ALPHA

    @property
    def clearest(self) -> Level:
        """The level that is named when it does."""
        known = [one for one in self.levels if one.known]
        return max(known or self.levels, key=lambda one: (one.sized, abs(one.shown)))


@np.errstate(all="ignore")  # an outcome may be of any size
def answers_of(
    dimensions: Sequence[Dimension],
    values: Column,
    weights: Column,
    *,
    in_logs: bool = False,
    seed: int = 0,
) -> list[Answer]:
    """The answer of each dimension, the others held fast where there are trials enough.

    A weighted linear model of main effects. Tests are on normal scores of the values, which no
    outlier rules, by dealing the dimension's values anew (Draper and Stoneman 1966, Technometrics
    8, 695), within what must be held fast, and corrected by Holm; sizes are
    in the objective's unit, with intervals that hold for unequal variances (HC3: MacKinnon and
    White 1985, Journal of Econometrics 29, 305), that of a level's only trial aside.

    Args:
        values: the outcome of each trial.
        weights: of each, at most 1.
        in_logs: the values are logarithms.
    """
    cases = [_case(one, dimensions, values, weights) for one in dimensions]
    tests = [
        _permuted(case.fit, case.scores, np.random.default_rng((seed, place)))
        for place, case in enumerate(cases)
    ]
    corrected = holm([test.p for test in tests])
    return [
        _answer(case, test._replace(p=float(p or 0.0)), len(cases))._replace(in_logs=in_logs)
        for case, p, test in zip(cases, corrected, tests, strict=True)
    ]


@np.errstate(all="ignore")
def shown_among(
    rows: Bool[np.ndarray, "trials"],
    answer: Answer,
    dimensions: Sequence[Dimension],
    values: Column,
) -> float:
    """What some of the trials show by themselves of the level that an answer names.

    Args:
        rows: these trials.

    Returns:
        As Level.shown; not a number where they do not have the level, or not apart from others.
    """
    among = [d._replace(columns=d.columns[rows], proposed=d.proposed[rows]) for d in dimensions]
    [one] = [d for d in among if d.name == answer.dimension]
    levels = _levels(_case(one, among, values[rows], np.ones(rows.sum())), len(among))
    return next(level.shown for level in levels if level.name == answer.clearest.name)


class _Case(NamedTuple):
    """A dimension, and the trials that it was proposed for, scaled by the roots of the weights."""

    dimension: Dimension
    fit: Fit
    values: Column
    scores: Column


def _case(
    one: Dimension, dimensions: Sequence[Dimension], values: Column, weights: Column
) -> _Case:
    rows = one.proposed
    root = np.sqrt(weights[rows])
    within = [d._replace(columns=d.columns[rows]) for d in dimensions]
    varied = [d for d in within if (d.columns != d.columns[:1]).any()]
    fit = fit_of(one._replace(columns=one.columns[rows]), varied, root)
    return _Case(one, fit, root * values[rows], root * scores_of(values[rows]))


def _answer(case: _Case, test: _Test, num_tests: int) -> Answer:
    """The answer of one dimension, by its test with a corrected p."""
    levels = _levels(case, num_tests)
    apart = any(level.known for level in levels)
    return Answer(
        case.dimension.name,
        len(case.values),
        test.p,
        levels,
        test.share,
        test.by_chance,
        beside=None if apart else case.fit.beside,
        more_trials=None if test.p <= ALPHA else _more(case.fit, test.share, levels, num_tests),
    )


class _Test(NamedTuple):
    """A dimension's test: its p, the share that it explains, and that which chance does."""

    p: float
    share: float
    by_chance: float


def _permuted(fit: Fit, scores: Column, generator: np.random.Generator) -> _Test:
    """The test of no effect: the dimension's values, dealt anew among trials of one stratum."""
    if fit.own.shape[1] == 0 or fit.free < 1:
        return _Test(1.0, 0.0, 1.0)
    left = scores - fit.held @ (fit.held.T @ scores)
    n = len(scores)
    share = float(_shares(fit, left, np.arange(n)[None])[0])
    places, sorted_places = np.empty((PER_BATCH, n), int), np.argsort(fit.strata, kind="stable")
    chance = np.empty((BATCHES, PER_BATCH))
    for batch in chance:
        keys = fit.strata + generator.random((PER_BATCH, n))
        places[:, sorted_places] = np.argsort(keys, axis=1)
        batch[:] = _shares(fit, left, places)
    as_much = int((chance >= share * (1 - RANK_TOLERANCE)).sum())
    p = (1 + as_much) / (1 + chance.size)
    return _Test(p, share, float(np.quantile(chance, 1 - ALPHA)))


def _shares(fit: Fit, left: Column, places: Int[np.ndarray, "draws trials"]) -> Column:
    """What each deal of the dimension explains of the variance that the rest leaves."""
    dealt = fit.root[:, None] * fit.columns[places]
    added = dealt - fit.held @ (fit.held.T @ dealt)
    products = np.swapaxes(added, 1, 2)
    towards = products @ left
    inverse = np.linalg.pinv(products @ added, rcond=RANK_TOLERANCE, hermitian=True)
    explained = np.einsum("dc,dce,de->d", towards, inverse, towards)
    shares: Column = explained / max(float(left @ left), TINY)
    return shares


def _levels(case: _Case, num_tests: int) -> list[Level]:
    free = max(1, case.fit.free)
    half = float(stdtrit(free, 1 - ALPHA / 2))
    least = float(stdtrit(free, 1 - ALPHA / num_tests / 2)) + float(ndtri(POWER))
    names = case.dimension.levels
    contrasts = [
        np.concatenate([np.zeros(case.fit.all.shape[1] - len(own)), own]) for own in names.values()
    ]
    inverse = np.linalg.pinv(case.fit.all, rcond=RANK_TOLERANCE)
    sizes = _contrasts(case.fit, inverse, contrasts, case.values)
    ranks = _contrasts(case.fit, inverse, contrasts, case.scores)
    return [
        Level(name, effect, half * error, least * error, rank / max(half * of_rank, TINY))
        for name, (effect, error), (rank, of_rank) in zip(names, sizes, ranks, strict=True)
    ]


def _contrasts(
    fit: Fit, inverse: Columns, contrasts: Sequence[Column], values: Column
) -> list[tuple[float, float]]:
    """Each contrast of the model's columns, and its standard error.

    Args:
        inverse: of the model's columns.
    """
    slopes, known = inverse @ values, inverse @ fit.all
    leverage = np.clip(np.einsum("nc,cn->n", fit.all, inverse), 0.0, 1.0)
    residuals, free = values - fit.all @ slopes, max(1, fit.free)
    # The one trial of a level says nothing of its own variance: it has that of all.
    lone, pooled = leverage > LONE, math.sqrt(float(residuals @ residuals) / free)
    residuals = np.where(lone, pooled, residuals / (1 - np.where(lone, 0.0, leverage)))
    covariance = (inverse * residuals**2) @ inverse.T
    found = []
    for contrast in contrasts:
        error = float(np.sqrt(max(0.0, contrast @ covariance @ contrast)))
        effect = float(contrast @ slopes)
        if not np.allclose(contrast @ known, contrast, atol=SAME):
            effect = math.nan  # the data have no such difference: least squares made one up
        unknown = math.isnan(effect) or not fit.free
        found.append((effect, math.inf if unknown else error))
    return found


def _more(fit: Fit, share: float, levels: Sequence[Level], num_tests: int) -> int | None:
    """How many more trials would tell the effect that was seen: by ranks, and by its interval."""
    n, columns = len(fit.all), fit.own.shape[1]
    by_rank = more_by_share(n, columns, fit.free, share, num_tests)
    sizes = [(one.effect, one.detectable) for one in levels if one.known]
    if not sizes:
        return None
    by_size = more_by_size(n, *max(sizes, key=lambda one: abs(one[0]) / (one[1] or math.inf)))
    return None if by_rank is None or by_size is None else max(by_rank, by_size)
