"""A space made again from the table of a grid: every mix with every value of every parameter.

The parameters are this version's own, whatever names the grid was drawn by: a multiset of
backbones is suggested by `suggest_mix`, anything else from the distribution that the table keeps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ffl_ray.config.overrides import brief, flatten, shown, with_overrides
from ffl_ray.config.readers import without_effect
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.config.variants import as_read
from ffl_ray.errors import StudyError
from ffl_ray.results.history import distributions_of
from ffl_ray.results.schema import row_config
from ffl_ray.search.grid import MOST_POINTS
from ffl_ray.search.mix import num_multisets, suggest_mix
from ffl_ray.search.space import SearchSpace

MIX, SEED = "model.mix", "seed"
Point = tuple[str, ...]


class Product(NamedTuple):
    """A full grid.

    Attributes:
        space: proposes its points; the seed is none of its parameters.
        names: the searched settings.
        base: what all points share.
    """

    space: SearchSpace
    names: tuple[str, ...]
    base: Config

    def point(self, config: Config | ResolvedConfig) -> Point:
        """Where a config stands: the values of the searched settings, as text."""
        return point_of(config, self.names)


def point_of(config: Config | ResolvedConfig, names: Sequence[str]) -> Point:
    """The values of some settings, as text."""
    values = flatten(config)
    return tuple(shown(values[name]) for name in names)


def product_of(
    rows: Sequence[Mapping[str, Any]], place: str, settings: Mapping[str, Any]
) -> Product:
    """The grid that rows of a trials table are the points of.

    Args:
        place: where they come from, for messages.
        settings: of the study, by dotted name: what a searched one was without being searched.

    Raises:
        StudyError: they are no full grid: a parameter has no steps, a setting varies that is no
            parameter, or a combination is missing.
    """
    configs = [row_config(row) for row in rows]
    values = [flatten(config) for config in configs]
    varying = [name for name in values[0] if len({shown(one[name]) for one in values}) > 1]
    names = tuple(name for name in varying if name != SEED)
    found = _read_values(values)
    kinds = {
        name: _narrowed(kind, found[name])
        for name, kind in distributions_of(rows[0]["distributions"]).items()
        if name in values[0] and name != SEED
    }
    _check_steps(kinds, place)
    other = [name for name in names if name not in kinds and name != MIX]
    if other:
        raise StudyError(
            f"a replay takes a space whose settings are all suggested, and {other[0]} of {place} "
            f"varies with what its space returned"
        )
    drawn = MIX in names and MIX not in kinds
    mixes = sorted({tuple(sorted(one[MIX] or ())) for one in values}) if drawn else []
    _check_mixes(mixes, place)
    ranges = {n for n, kind in kinds.items() if not isinstance(kind, CategoricalDistribution)}
    every = {name: [one[name] for one in values] for name in ranges}  # proposed, read or not
    _check_full(configs, {name: _distinct((found | every)[name]) for name in names}, place)
    base = with_overrides(configs[0], {name: settings.get(name) for name in names})
    return Product(SearchSpace(place, {}, _function(mixes, kinds)), names, base)


def _narrowed(kind: BaseDistribution, values: Sequence[Any]) -> BaseDistribution:
    """A choice among the values that some row has; any other distribution as it is."""
    if not isinstance(kind, CategoricalDistribution):
        return kind
    found = {*map(shown, values)}
    return CategoricalDistribution([one for one in kind.choices if shown(one) in found])


def _function(
    mixes: Sequence[tuple[str, ...]], kinds: Mapping[str, BaseDistribution]
) -> Callable[[optuna.Trial], dict[str, object]]:
    """The space of these mixes, if there are any, and these other parameters."""

    def search_space(trial: optuna.Trial) -> dict[str, object]:
        if mixes:
            lengths = [len(mix) for mix in mixes]
            backbones = sorted({name for mix in mixes for name in mix})
            suggest_mix(trial, num_branches=(min(lengths), max(lengths)), backbones=backbones)
        for name, kind in kinds.items():
            _suggest(trial, name, kind)
        return {}

    return search_space


def _suggest(trial: optuna.Trial, name: str, kind: BaseDistribution) -> None:
    if isinstance(kind, CategoricalDistribution):
        trial.suggest_categorical(name, kind.choices)
    elif isinstance(kind, IntDistribution):
        trial.suggest_int(name, kind.low, kind.high, step=kind.step, log=kind.log)
    elif isinstance(kind, FloatDistribution):
        trial.suggest_float(name, kind.low, kind.high, step=kind.step)


def _check_steps(kinds: Mapping[str, BaseDistribution], place: str) -> None:
    for name, kind in kinds.items():
        if isinstance(kind, FloatDistribution) and kind.step is None:
            raise StudyError(
                f"a replay takes a grid, whose floats have a step, and {name} of {place} has none: "
                f"see --sampler grid"
            )


def _check_mixes(mixes: Sequence[tuple[str, ...]], place: str) -> None:
    """Check that every multiset of these backbones is there, of the sizes from least to most."""
    sizes = range(min(map(len, mixes)), max(map(len, mixes)) + 1) if mixes else ()
    kinds = len({name for mix in mixes for name in mix})
    full = sum(num_multisets(size, kinds) for size in sizes)
    if len(mixes) < full:
        raise StudyError(
            f"a replay takes a full grid, and {place} holds {len(mixes)} of the {full} mixes of "
            f"its backbones, as with a constraint: search without it"
        )


def _check_full(
    configs: Sequence[Config], columns: Mapping[str, Sequence[Any]], place: str
) -> None:
    """Check that every combination of values is there, each as far as it is read.

    Args:
        columns: the values of each parameter.
    """
    points = {point_of(config, [*columns]) for config in configs}
    count = math.prod(map(len, columns.values()))
    if len(points) == count:
        return
    full = points
    if count <= MOST_POINTS:  # as many as a grid may have
        combined = (zip(columns, values, strict=True) for values in product(*columns.values()))
        read = (as_read(with_overrides(configs[0], dict(one))) for one in combined)
        full = {point_of(config, [*columns]) for config in read}
        count = len(full)
    if missing := max(len(full - points), count - len(points)):
        raise StudyError(
            f"a replay takes a full grid, and {place} holds {count - missing} of {count} points "
            f"({brief(', '.join(f'{len(column)}' for column in columns.values()))} values of each "
            f"parameter): let its search go on to the end"
        )


def _read_values(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The values of each setting in the rows where it has an effect; in all, if there are none."""
    unread = [without_effect(row) for row in rows]
    read = {
        name: [row[name] for row, idle in zip(rows, unread, strict=True) if name not in idle]
        for name in rows[0]
    }
    return {name: found or [row[name] for row in rows] for name, found in read.items()}


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [*{shown(value): value for value in values}.values()]
