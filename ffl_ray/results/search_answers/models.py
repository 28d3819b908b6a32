"""A dimension's model: what is held fast when it is looked at, and what it adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

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
    """

    held: Columns
    own: Columns
    all: Columns
    columns: Columns
    root: Column
    strata: Int[np.ndarray, "trials"]

    @property
    def free(self) -> int:
        """Degrees of freedom that are left."""
        return int(len(self.all) - self.held.shape[1] - self.own.shape[1])


def fit_of(one: Dimension, dimensions: Sequence[Dimension], root: Column) -> Fit:
    """The model of one dimension beside the others.

    Args:
        root: of each trial's weight.
    """
    held = _held(one, dimensions, len(root))
    kinds = np.column_stack([np.ones(len(root)), *_given(one, dimensions)])
    strata = np.unique(kinds, axis=0, return_inverse=True)[1].reshape(-1)
    scaled_held, scaled_own = root[:, None] * held, root[:, None] * one.columns
    basis = orthonormal(scaled_held)
    added = orthonormal(scaled_own - basis @ (basis.T @ scaled_own))
    whole = np.column_stack([scaled_held, scaled_own])
    return Fit(basis, added, whole, one.columns, root, strata)


def _held(one: Dimension, dimensions: Sequence[Dimension], n: int) -> Columns:
    """The columns of what is held fast: what must be, and all others if trials are enough."""
    given = _given(one, dimensions)
    others = [
        d.columns
        for d in dimensions
        if d.name != one.name and d.name not in one.given and not _same_mix(d, one)
    ]
    width = 1 + sum(c.shape[1] for c in (*given, *others, one.columns))
    kept = [*given, *others] if n >= TRIALS_PER_COLUMN * width else given
    return np.column_stack([np.ones(n), *kept])


def _given(one: Dimension, dimensions: Sequence[Dimension]) -> list[Columns]:
    """The columns of what must be held fast."""
    return [d.columns for d in dimensions if d.name in one.given]


def _same_mix(one: Dimension, other: Dimension) -> bool:
    """Whether both are of the mix: more of one backbone is less of another."""
    return bool(one.given and other.given) or other.name in one.given or one.name in other.given


def orthonormal(columns: Columns) -> Columns:
    """As many columns as there are independent ones, which span the same."""
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, singular > RANK_TOLERANCE * max(1.0, singular.max(initial=0.0))])
