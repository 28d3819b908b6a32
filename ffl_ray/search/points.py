"""Points of a search space: the ends of its ranges and random ones, each checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from ffl_ray.config.constraints import parse_constraint
from ffl_ray.config.method_checks import check_objective
from ffl_ray.config.overrides import flatten
from ffl_ray.config.readers import READ_BY, without_effect
from ffl_ray.config.settings import Config, ResolvedConfig, SearchConfig
from ffl_ray.config.variants import unread_text
from ffl_ray.errors import SettingError, SpaceError
from ffl_ray.search.alone_sampler import AloneSampler
from ffl_ray.search.distributions import gathered
from ffl_ray.search.first_points import read_points
from ffl_ray.search.grid import check_steps, every_point
from ffl_ray.search.mix import PREFIX
from ffl_ray.search.priors import check_priors
from ffl_ray.search.space import SearchSpace, named_point, proposed_config

RANDOM_CHECKS = 200


class Point(NamedTuple):
    """One proposal of a space.

    Attributes:
        config: its checked settings.
        params: what was suggested for it.
        distributions: Optuna's, of each of them.
        at_end: whether it is an end of every range, and no random point.
    """

    config: ResolvedConfig
    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    at_end: bool

    @property
    def words(self) -> str:
        """The point as a message names it."""
        return named_point(self.params)


def points(
    space: SearchSpace, base: Config, random: int, fixed: Sequence[str] = ()
) -> Iterator[Point]:
    """Both ends of every range, with every choice, and then random points; each is checked.

    Args:
        random: how many random points; equal for equal spaces.
        fixed: settings that the command line set; a space must not search them as well.

    Raises:
        SpaceError: it proposes nothing, an unknown setting or a value out of bounds.
    """
    ends, most_choices = _study(_EndSampler()), 1
    asked = 0
    while asked < 2 * most_choices:
        point = _check_point(space, base, ends, fixed)
        asked += 1
        for distribution in point.distributions.values():
            if isinstance(distribution, CategoricalDistribution):
                most_choices = max(most_choices, len(distribution.choices))
        yield point
    sampled = _study(optuna.samplers.RandomSampler(seed=0))
    for _ in range(random):
        yield _check_point(space, base, sampled, fixed)


def every_config(space: SearchSpace, base: Config) -> Iterator[ResolvedConfig]:
    """The checked config of every point of a space without continuous parameters.

    Raises:
        SettingError: as `every_point` does, or a point breaks a rule.
    """
    proposed: dict[str, Any] = {}

    def suggest(trial: optuna.Trial) -> None:
        nonlocal proposed
        proposed = space.suggest(trial)

    for _ in every_point(suggest):
        yield proposed_config(base, proposed)


def check_space(
    space: SearchSpace,
    base: Config,
    fixed: Sequence[str] = (),
    search: SearchConfig | None = None,
    chosen: Collection[str] | None = (),
) -> list[str]:
    """Check that what the space proposes can be trained: the ends of ranges, and random points.

    Args:
        fixed: settings that the command line set; a space must not search them as well.
        search: whose objectives every point must have, and whose sampler must take the space.
        chosen: settings that were given beside the space; what they leave without effect is let
            pass. None: nothing is held to have an effect, as in a search that has begun.

    Returns:
        The names of the searched parameters.

    Raises:
        SpaceError: it proposes nothing, an unknown setting or a value out of bounds.
        SettingError: it has fewer points than a grid shall try, or not one that is to come first,
            or a setting of it or of the command line has no effect at any point.
    """
    sampled = list(points(space, base, RANDOM_CHECKS, fixed))
    if search is not None:
        for point in sampled:
            _check_searchable(space, point, search)
    if chosen is not None:
        _check_effects(space, base, sampled, chosen)
    if search is not None:
        read_points(space.suggest, search.enqueue, base)
        _check_grid(space, search)
    names = gathered(point.distributions for point in sampled)
    if space.backbones and not any(name.startswith(PREFIX) for name in names):
        raise SettingError(
            f"search.backbones must be none where a space draws no mix ({space.path}), not "
            f"{','.join(space.backbones)}"
        )
    check_priors(space.priors, names, space.path)
    return list(names)


def effect_advice(sampled: Sequence[Point]) -> Iterator[str]:
    """Of each searched setting that has no effect at some points a line that says so."""
    idle = Counter(name for one in sampled for name in one.params.keys() & _idle(one.config))
    for name, count in sorted(idle.items()):
        asked = sum(name in one.params for one in sampled)
        yield (
            f"{name} has no effect at {count} of {asked} sampled points, and its default there: it "
            f"is read by {READ_BY[name].words}"
        )


def _idle(config: ResolvedConfig) -> set[str]:
    return set(without_effect(flatten(config)))


def _check_effects(
    space: SearchSpace, base: Config, sampled: Sequence[Point], chosen: Collection[str]
) -> None:
    """Check that what is set or searched has an effect at some point.

    What the space sets or searches beside a choice that was made for it is let pass.
    """
    idle = set.intersection(*(_idle(point.config) for point in sampled))
    searched = {name for point in sampled for name in point.params}
    found, started = flatten(sampled[0].config), flatten(base)
    for name in sorted(idle):
        if name not in chosen and READ_BY[name].deciding & {*chosen}:
            continue
        if name in searched:
            raise SpaceError(
                f"{space.path} searches {name}, which has no effect at any point: it is read by "
                f"{READ_BY[name].words}, not {READ_BY[name].beside(found)}"
            )
        if started[name] not in (found[name], None):
            raise SettingError(unread_text(name, found | {name: started[name]}))


def _check_searchable(space: SearchSpace, point: Point, search: SearchConfig) -> None:
    try:
        if search.sampler == "grid":
            check_steps(point.distributions)
        bounded = [parse_constraint(text).of.name for text in search.constraints]
        for name in (*search.objectives, *bounded):
            check_objective(point.config, name)
    except SettingError as error:
        raise SpaceError(
            f"{space.path} can propose what can't be searched: {error} (at {point.words})"
        ) from error


def _check_grid(space: SearchSpace, search: SearchConfig) -> None:
    if search.sampler != "grid":
        return
    try:
        size = sum(1 for _ in every_point(space.suggest))
    except SettingError as error:
        raise SpaceError(f"{space.path} can't be searched: {error}") from error
    if size < search.num_samples:
        raise SettingError(
            f"search.num_samples must be at most the {size} points that {space.path} has for "
            f"search.sampler grid, not {search.num_samples}"
        )


def _check_point(
    space: SearchSpace, base: Config, study: optuna.Study, fixed: Sequence[str]
) -> Point:
    trial = study.ask()
    config, proposed = _proposal(space, base, trial)
    params = trial.params  # a copy each time
    if not params:
        raise SpaceError(
            f"{space.path} is empty: search_space(trial) must suggest at least one setting"
        )
    twice = sorted(set(proposed) & set(fixed))
    if twice:
        raise SpaceError(
            f"{twice[0]} is chosen by {space.path}, so it can't be set on the command line too"
        )
    at_end = isinstance(study.sampler, _EndSampler)
    return Point(config, params, trial.distributions, at_end)


def _proposal(
    space: SearchSpace, base: Config, trial: optuna.Trial
) -> tuple[ResolvedConfig, dict[str, Any]]:
    """A trial's checked config, and the settings that the space gave it."""
    proposed = space.suggest(trial)
    try:
        return proposed_config(base, proposed), proposed
    except SettingError as error:
        raise SpaceError(
            f"{space.path} can propose an invalid config: {error} (at {named_point(trial.params)})"
        ) from error


def _study(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=sampler)


class _EndSampler(AloneSampler):
    """Low ends, then high ends, once for every choice of the categorical parameters."""

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        choice, high = divmod(trial.number, 2)
        if isinstance(param_distribution, CategoricalDistribution):
            return param_distribution.choices[choice % len(param_distribution.choices)]
        assert isinstance(
            param_distribution,
            (optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution),
        )
        return param_distribution.high if high else param_distribution.low
