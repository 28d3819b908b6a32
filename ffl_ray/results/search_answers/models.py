"""Models of outcomes: of a dimension beside what is held fast, and of all dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri
from scipy.stats import rankdata

from ffl_ray.results.search_answers.dimensions import Dimension

TRIALS_PER_COLUMN = 3
RANK_TOLERANCE = 1e-9

Column = Float[np.ndarray, "trials"]
Columns = Float[np.ndarray, "trials columns"]


class Fit(NamedTuple):
    """A dimension's model, its rows scaled by the roots of the weights.

    Attributes:
        held: orthonormal columns of what is held fast.
        own: of what the dimension adds.
        all: the model's columns, those of the dimension last.
        columns: the dimension's, not scaled.
        root: of each trial's weight.
        strata: a number for each kind of what must be held fast, from 0.
        beside: which it varies together with, so that nothing tells them apart: a dimension, or
            "the others" where it takes several; none where there is none.
    """

    held: Columns
    own: Columns
    all: Columns
    columns: Columns
    root: Column
    strata: Int[np.ndarray, "trials"]
    beside: str | None

    @property
    def free(self) -> int:
        """Degrees of freedom that are left."""
        return int(len(self.all) - self.held.shape[1] - self.own.shape[1])


def fit_of(one: Dimension, dimensions: Sequence[Dimension], root: Column) -> Fit:
    """The model of one dimension beside the others.

    Args:
        root: of each trial's weight.
    """
    given = [d.columns for d in dimensions if d.name in one.given]
    strata = np.unique(_model(given, root), axis=0, return_inverse=True)[1].reshape(-1)
    kept = _held(one, dimensions, len(root))
    held = root[:, None] * _model([d.columns for d in kept], root)
    whole = np.column_stack([held, root[:, None] * one.columns])
    basis = orthonormal(held)
    own = _added(one, basis, root)
    beside, width = None, one.columns.shape[1]
    if own.shape[1] < width:
        alone = {d.name: orthonormal(root[:, None] * _model([d.columns], root)) for d in kept}
        lone = [name for name in alone if _added(one, alone[name], root).shape[1] < width]
        beside = lone[0] if lone else "the others"
    return Fit(basis, own, whole, one.columns, root, strata, beside)


def _added(one: Dimension, basis: Columns, root: Column) -> Columns:
    """Orthonormal columns of what a dimension adds to those that are held fast."""
    own = root[:, None] * one.columns
    return orthonormal(own - basis @ (basis.T @ own))


def _model(columns: Sequence[Columns], root: Column) -> Columns:
    """A constant, and the columns."""
    return np.column_stack([np.ones(len(root)), *columns])


def _held(one: Dimension, dimensions: Sequence[Dimension], n: int) -> list[Dimension]:
    """What is held fast: what must be, and all others if trials are enough."""
    given = [d for d in dimensions if d.name in one.given]
    others = [
        d
        for d in dimensions
        if d.name != one.name and d.name not in one.given and not _same_mix(d, one)
    ]
    width = 1 + sum(d.columns.shape[1] for d in (*given, *others, one))
    return [*given, *others] if n >= TRIALS_PER_COLUMN * width else given


def _same_mix(one: Dimension, other: Dimension) -> bool:
    """Whether both are of the mix: more of one backbone is less of another."""
    return bool(one.given and other.given) or other.name in one.given or one.name in other.given


def orthonormal(columns: Columns) -> Columns:
    """As many columns as there are independent ones, which span the same."""
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, singular > RANK_TOLERANCE * max(1.0, singular.max(initial=0.0))])


@np.errstate(all="ignore")
def left_out_r2(dimensions: Sequence[Dimension], values: Column, weights: Column) -> float:
    """How much of the differences all dimensions together predict of a trial left out.

    1 - PRESS / the same with the mean alone, of normal scores (Allen 1974, Technometrics 16, 125).
    Below 0 where there are as many columns as trials.
    """
    root, scores = np.sqrt(weights), scores_of(values)
    columns = _model([one.columns for one in dimensions], root)
    errors = [
        float(np.sum(_left_out(root[:, None] * model, root * scores) ** 2))
        for model in (columns, columns[:, :1])
    ]
    return 1 - errors[0] / errors[1] if errors[1] else 0.0


def _left_out(columns: Columns, values: Column) -> Column:
    """What each row is missed by when it is left out."""
    basis = orthonormal(columns)
    leverage = np.clip((basis**2).sum(axis=1), 0.0, 1 - 1e-6)
    missed: Column = (values - basis @ (basis.T @ values)) / (1 - leverage)
    return missed


def scores_of(values: Column) -> Column:
    """The normal scores of values."""
    scores: Column = ndtri((rankdata(values) - 0.5) / len(values))
    return scores
