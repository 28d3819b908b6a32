"""The first points of a search: the defaults, and those that somebody asks for."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from ffl_ray.config.methods import resolved
from ffl_ray.config.overrides import flatten, nearest, parse_assignments
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.config.values import parse_mix
from ffl_ray.errors import SettingError
from ffl_ray.results.schema import kept_choice
from ffl_ray.search.alone_sampler import AloneSampler
from ffl_ray.search.distributions import (
    Suggest,
    found_distributions,
    nearest_value,
    read_value,
)
from ffl_ray.search.mix import NUM_BRANCHES, PREFIX
from ffl_ray.search.space import SearchSpace, proposed_config
from ffl_ray.search.space_trial import as_space_trial

Params = Mapping[str, Any]
ProposedT = TypeVar("ProposedT")
MIX = "model.mix"


def default_point(suggest: Suggest, base: Config) -> Params:
    """The point where every searched setting has the value that it has without a search.

    Where the space does not hold that value it is the nearest one, or the first of the choices; of
    a mix it is as few branches as may be, all of one backbone.

    Args:
        base: the settings that all trials start from; what they leave to the method is the paper's
            or the method's authors'.
    """
    return dict(_at_default(suggest, base)[0])


def default_config(space: SearchSpace, base: Config) -> ResolvedConfig:
    """The checked config of the default point."""
    return proposed_config(base, _at_default(space.suggest, base)[1])


def _at_default(
    suggest: Callable[[optuna.Trial], ProposedT], base: Config
) -> tuple[Params, ProposedT]:
    """The default point, and what the space makes of it."""
    study = optuna.create_study(sampler=_Defaults(_settings(base)))
    trial = as_space_trial(study.ask())
    proposed = suggest(trial)
    return trial.params, proposed


def _settings(base: Config) -> dict[str, Any]:
    """The base with what its method makes of it, as far as the two go together."""
    try:
        return flatten(resolved(base))
    except SettingError:
        return flatten(base)


class _Defaults(AloneSampler):
    """Draws the values of given settings, or the nearest to them."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._mix = Counter(settings[MIX] or ())

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {f"{PREFIX}{name}": count for name, count in self._mix.items()}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        kind: Any = param_distribution
        if param_name == PREFIX:  # of multisets, the one whose rank is last has one backbone
            return kind.high
        if param_name.startswith(PREFIX):
            return kind.low
        if param_name == NUM_BRANCHES:
            return nearest_value(kind, self._mix.total())
        return nearest_value(kind, kept_choice(self._settings.get(param_name)))


def untried(points: Iterable[Params], had: Sequence[Params]) -> list[Params]:
    """The points that no trial has had yet."""
    return [point for point in points if not any(point.items() <= one.items() for one in had)]


def read_points(suggest: Suggest, texts: Sequence[str], base: Config | None = None) -> list[Params]:
    """The points that texts such as `model.mix=2*resnet20 fusion.design=sum` name.

    What a text leaves out is drawn by the sampler.

    Args:
        base: the settings that all trials start from: a point must make a config of them; none:
            that is not looked at.

    Raises:
        SettingError: a text names what is not searched, a value that the space does not hold, or
            what can't be trained.
        SpaceError: the space fails at a point.
    """
    found = found_distributions(suggest) if texts else {}
    return [_checked(suggest, text, read_point(found, text), base) for text in texts]


def read_point(found: Mapping[str, list[BaseDistribution]], text: str) -> Params:
    """The point that a text names, of parameters with these distributions.

    Raises:
        SettingError: it names another one, or a value that none of them holds.
    """
    try:
        assigned = parse_assignments(shlex.split(text))
    except (ValueError, SettingError) as error:
        raise SettingError(
            f"search.enqueue must read like model.mix=2*resnet20 fusion.design=sum, not {text!r} "
            f"({error})"
        ) from error
    point: dict[str, Any] = {}
    for name, value in assigned.items():
        try:
            read = _read_mix if name == MIX and MIX not in found else _read
            point = _with(point, read(found, name, str(value)))
        except ValueError as error:
            raise SettingError(f"search.enqueue {text!r}: {name} {error}, not {value}") from error
    return point


def _with(point: Params, read: Params) -> dict[str, Any]:
    if any(point.get(name, value) != value for name, value in read.items()):
        raise ValueError("must agree with what stands before it")
    return {**point, **read}


def _read(found: Mapping[str, list[BaseDistribution]], name: str, text: str) -> Params:
    if name not in found or name.startswith(PREFIX):
        names = sorted({MIX if n.startswith(PREFIX) else n for n in found})
        raise ValueError(f"must be one of {', '.join(names)}{nearest(name, names)}")
    return {name: read_value(found[name], text)}


def _read_mix(found: Mapping[str, list[BaseDistribution]], name: str, text: str) -> Params:
    names = [name for name in found if name.startswith(PREFIX)]
    if not names:
        return _read(found, name, text)
    mix: Any = parse_mix(text) or ()
    counts = Counter(mix)
    sizes: Any = found.get(NUM_BRANCHES, [])
    known = {name.removeprefix(PREFIX) for name in names}
    if counts.keys() - known or not any(s.low <= len(mix) <= s.high for s in sizes):
        bounds = " or ".join(f"{size.low} to {size.high}" for size in sizes)
        raise ValueError(f"must be {bounds} branches of {', '.join(sorted(known))}")
    of_each = {name: counts[name.removeprefix(PREFIX)] for name in names}
    return {NUM_BRANCHES: len(mix), **of_each}


def _checked(suggest: Suggest, text: str, point: Params, base: Config | None) -> Params:
    """The point, if the space asks for all that it names, and it can be trained."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(dict(point))
    trial = as_space_trial(study.ask())
    proposed: Any = suggest(trial)
    ignored = sorted(point.keys() - trial.params.keys())
    if ignored:
        raise SettingError(f"search.enqueue {text!r}: {ignored[0]} is not asked for at this point")
    if base is not None:
        try:
            proposed_config(base, proposed)
        except SettingError as error:
            raise SettingError(f"search.enqueue {text!r} can't be trained: {error}") from error
    return point
