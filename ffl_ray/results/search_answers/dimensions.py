"""Dimensions of a search: what was varied, as columns of a linear model and levels to compare."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from ffl_ray.config.values import parse_mix
from ffl_ray.results.schema import params_of

MIX, NUM_BRANCHES = "model.mix", "num_branches"
MOST_LEVELS = 5  # a number with more values is compared at three quantiles
QUANTILES = {"low": 0.1, "middle": 0.5, "high": 0.9}
NOT_ASKED = ("seed",)
LOG_RATIO = 10.0


class Dimension(NamedTuple):
    """One thing that a search varied.

    Attributes:
        name: of the setting, or of what stands for the mix.
        columns: its part of a linear model, a row for each trial.
        levels: each with its contrast: what its mean differs by from that of the other levels,
            as a sum over the columns.
        proposed: the trials that it was proposed for, which alone say something of it.
        given: dimensions that are held fast when this one is looked at, whatever else is.
    """

    name: str
    columns: Float[np.ndarray, "trials columns"]
    levels: dict[str, Float[np.ndarray, "columns"]]
    proposed: Bool[np.ndarray, "trials"]
    given: tuple[str, ...] = ()


def dimensions_of(trials: pd.DataFrame) -> list[Dimension]:
    """What varied among these trials, of what their search proposed.

    A mix is its number of branches, and of each backbone how many branches it has in place of
    others. Seeds are repeats, and no dimension.

    Args:
        trials: rows of the trials table.
    """
    params = [params_of(text or "{}") for text in trials["params"]]
    names = dict.fromkeys(name for one in params for name in one)
    of_mix = [name for name in names if name.startswith("mix.") or name in (MIX, NUM_BRANCHES)]
    found = _of_mix(trials) if of_mix else []
    for name in names:
        if name in trials and name not in (*of_mix, *NOT_ASKED):
            found.append(_of_those(trials[name], np.array([name in one for one in params])))
    return [one for one in found if one.columns.shape[1]]


def _of_those(column: pd.Series, proposed: Bool[np.ndarray, "trials"]) -> Dimension:
    """A setting among the trials that it was proposed for.

    The others, which have its default, stand at its mean: so what decides whether it is proposed
    is told apart from it.
    """
    one = _of_setting(str(column.name), list(column[proposed]))
    columns = np.tile(one.columns.mean(axis=0), (len(column), 1))
    columns[proposed] = one.columns
    return one._replace(columns=columns, proposed=proposed)


def _of_mix(trials: pd.DataFrame) -> list[Dimension]:
    counts = [_backbones(mix) for mix in trials[MIX]]
    backbones = sorted({name for count in counts for name in count})
    branches = _of_setting("branches", [count.total() for count in counts])
    found = [branches]
    # Of two backbones the one stands for the other.
    for name in backbones[:1] if len(backbones) == 2 else backbones:
        column = np.array([[float(count[name])] for count in counts])
        other = backbones[1] if len(backbones) == 2 else "another"
        if len(backbones) > 1 and np.ptp(column):
            level = {f"{name} in place of {other}": np.ones(1)}
            everywhere = np.full(len(column), True)
            found.append(Dimension(f"mix: {name}", column, level, everywhere, (branches.name,)))
    return found


def _backbones(mix: object) -> Counter[str]:
    names = parse_mix(mix)
    return Counter(map(str, names)) if isinstance(names, tuple) else Counter()


def _of_setting(name: str, values: Sequence[Any]) -> Dimension:
    """A number where all trials have one; a setting that some leave unset is a choice."""
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in values]
    unset = [_is_unset(value) for value in values]
    if all(numbers) and not any(unset):
        return _of_number(name, np.array(values, float))
    pairs = zip(values, numbers, unset, strict=True)
    return _of_choice(
        name,
        [
            "unset" if no else f"{value:.4g}" if number else str(value)
            for value, number, no in pairs
        ],
    )


def _is_unset(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _of_choice(name: str, values: Sequence[str]) -> Dimension:
    """A column for each choice but the first."""
    choices = sorted(set(values))
    columns = np.array([[float(value == choice) for choice in choices[1:]] for value in values])
    means = np.vstack([np.zeros(len(choices) - 1), np.eye(len(choices) - 1)])
    everywhere = np.full(len(values), True)
    return Dimension(name, columns.reshape(len(values), -1), _contrasts(choices, means), everywhere)


def _of_number(name: str, values: Float[np.ndarray, "trials"]) -> Dimension:
    """A straight line, or a parabola from three values on; on a log scale where it spans tens."""
    distinct, everywhere = np.unique(values), np.full(len(values), True)
    if len(distinct) < 2:
        return Dimension(name, np.empty((len(values), 0)), {}, everywhere)
    scaled = np.log if distinct[0] > 0 and distinct[-1] / distinct[0] >= LOG_RATIO else np.asarray
    low, width = scaled(distinct[0]), np.ptp(scaled(distinct))

    def basis(at: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n columns"]:
        unit = (scaled(at) - low) / width
        return np.column_stack([unit, unit**2][: min(2, len(distinct) - 1)])

    at = {f"{value:.4g}": value for value in distinct}
    if len(distinct) > MOST_LEVELS:
        ends = {word: float(np.quantile(values, q)) for word, q in QUANTILES.items()}
        at = {f"{word} ({value:.3g})": value for word, value in ends.items()}
    levels = _contrasts(list(at), basis(np.array([*at.values()])))
    return Dimension(name, basis(values), levels, everywhere)


def _contrasts(
    levels: Sequence[str], means: Float[np.ndarray, "levels columns"]
) -> dict[str, Float[np.ndarray, "columns"]]:
    """Each level against the mean of the others."""
    total, count = means.sum(axis=0), len(levels)
    return {
        level: mean - (total - mean) / (count - 1)
        for level, mean in zip(levels, means, strict=True)
        if count > 1
    }
