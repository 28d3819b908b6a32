"""Search spaces: loading a file of search_spaces/, and refusing one that can go wrong."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

import ffl_ray
from ffl_ray.config.methods import check_objective, resolved, with_reachable_objective
from ffl_ray.config.objectives import parse_objectives, quality
from ffl_ray.config.overrides import brief, nearest, shown, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig, SearchConfig, StudyConfig
from ffl_ray.distill.check import check_config
from ffl_ray.errors import SettingError, SpaceError
from ffl_ray.search.mix import settings_from_params
from ffl_ray.search.samplers import check_distributions, check_sampler, grid_size

RANDOM_CHECKS = 200


class SearchSpace(NamedTuple):
    """A loaded space file.

    Attributes:
        path: the file, as a person would name it.
        base: dotted settings that all trials start from, `search.*` among them.
        suggest: the file's `search_space(trial)`, Optuna's define-by-run form.
    """

    path: str
    base: Mapping[str, object]
    suggest: Callable[[optuna.Trial], Mapping[str, object] | None]

    @property
    def name(self) -> str:
        """The file's name without its ending, fit for the name of a study."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.path).stem).strip("-.") or "study"

    def propose(self, trial: optuna.Trial) -> dict[str, Any]:
        """The settings of one trial: what was suggested, then what the space returned."""
        returned = self.suggest(trial) or {}
        return {**settings_from_params(trial.params), **returned}


def bundled_folder() -> Path:
    """The folder of the spaces that come with the package."""
    package = Path(ffl_ray.__file__).parent
    inside = package / "search_spaces"
    return inside if inside.is_dir() else package.parent / "search_spaces"


def load_space(name: str) -> SearchSpace:
    """Load a space by its file's path, or a bundled one by name.

    Raises:
        SpaceError: no such file, it fails to load, or it lacks BASE or search_space.
    """
    path = Path(name)
    if path.suffix != ".py":
        path = bundled_folder() / f"{name}.py"
    if not path.is_file():
        bundled = sorted(found.stem for found in bundled_folder().glob("*.py"))
        raise SpaceError(
            f"a search space is a Python file or one of {', '.join(bundled)}, not {name!r}"
            f"{nearest(name, bundled)}"
        )
    spec = importlib.util.spec_from_file_location(f"search_space_{path.stem}", path)
    assert spec is not None, "a .py file has a spec"
    assert spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise SpaceError(f"{path} can't be loaded: {type(error).__name__}: {error}") from error
    suggest = getattr(module, "search_space", None)
    if not callable(suggest):
        raise SpaceError(f"{path} must define search_space(trial), and does not")
    base = getattr(module, "BASE", {})
    if not isinstance(base, Mapping):
        raise SpaceError(
            f"{path}: BASE must map dotted settings to values, not {brief(repr(base))}"
        )
    return SearchSpace(str(path), base, suggest)


def settle(space: SearchSpace, overrides: Mapping[str, object]) -> StudyConfig:
    """The settings of a study: defaults, then the space's BASE, then what the command line says.

    Raises:
        SettingError: an override names an unknown setting or breaks a rule.
        SpaceError: BASE does.
    """
    try:
        base = with_overrides(StudyConfig(), space.base)
    except SettingError as error:
        raise SpaceError(f"{space.path}: BASE: {error}") from error
    chosen = "objective" in overrides or "objective" in space.base
    return _with_objectives(with_overrides(base, overrides), chosen=chosen)


def _with_objectives(study: StudyConfig, *, chosen: bool) -> StudyConfig:
    """One objective unless several are given; the first validation metric prunes, unless chosen."""
    if not chosen:
        study = with_reachable_objective(study)
    objectives = parse_objectives(study.search.objectives or (study.objective,))
    check_sampler(study.search, len(objectives))
    changes: dict[str, object] = {
        "search.objectives": tuple(objective.name for objective in objectives)
    }
    if not chosen:
        changes["objective"] = quality(objectives).name
    if any(objective.metric == "latency_ms" for objective in objectives):
        changes["compute.measure_latency"] = True
    return with_overrides(study, changes)


def check_space(
    space: SearchSpace,
    base: Config,
    fixed: Sequence[str] = (),
    search: SearchConfig | None = None,
) -> list[str]:
    """Check that what the space proposes can be trained: the ends of ranges, and random points.

    Args:
        fixed: settings that the command line set; a space must not search them as well.
        search: whose objectives every point must have, and whose sampler must take the space.

    Returns:
        The names of the searched parameters.

    Raises:
        SpaceError: it proposes nothing, an unknown setting or a value out of bounds.
    """
    names: dict[str, None] = {}
    for point in points(space, base, RANDOM_CHECKS, fixed):
        names |= dict.fromkeys(point.params)
        if search is not None:
            try:
                check_distributions(search, point.distributions)
                for objective in search.objectives:
                    check_objective(point.config, objective)
            except SettingError as error:
                raise SpaceError(
                    f"{space.path} can propose what can't be searched: {error} (at {point.words})"
                ) from error
    if search is not None and search.sampler == "grid":
        size = grid_size(space.suggest, search.num_samples + 1)
        if size < search.num_samples:
            raise SettingError(
                f"search.num_samples must be at most the {size} points that {space.path} has for "
                f"search.sampler grid, not {search.num_samples}"
            )
    return list(names)


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


def named_point(params: Mapping[str, Any]) -> str:
    """Optuna's parameters in one line."""
    return ", ".join(f"{name}={shown(value)}" for name, value in params.items()) or "no parameter"


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
    while len(ends.trials) < 2 * most_choices:
        yield _check_point(space, base, ends, fixed)
        for distribution in ends.trials[-1].distributions.values():
            if isinstance(distribution, CategoricalDistribution):
                most_choices = max(most_choices, len(distribution.choices))
    sampled = _study(optuna.samplers.RandomSampler(seed=0))
    for _ in range(random):
        yield _check_point(space, base, sampled, fixed)


def trial_config(space: SearchSpace, base: Config, trial: optuna.Trial) -> ResolvedConfig:
    """The checked config of one trial.

    Raises:
        SettingError: the proposal names an unknown setting or breaks a rule.
    """
    config = resolved(with_overrides(base, space.propose(trial)))
    check_config(config)
    return config


def _check_point(
    space: SearchSpace, base: Config, study: optuna.Study, fixed: Sequence[str]
) -> Point:
    trial = study.ask()
    try:
        proposed = space.propose(trial)
        config = resolved(with_overrides(base, proposed))
        check_config(config)
    except SettingError as error:
        raise SpaceError(
            f"{space.path} can propose an invalid config: {error} (at {named_point(trial.params)})"
        ) from error
    except (Exception, SystemExit) as error:
        raise SpaceError(
            f"{space.path}: search_space fails: {type(error).__name__}: {error}"
        ) from error
    if not trial.params:
        raise SpaceError(
            f"{space.path} is empty: search_space(trial) must suggest at least one setting"
        )
    twice = sorted(set(proposed) & set(fixed))
    if twice:
        raise SpaceError(
            f"{twice[0]} is chosen by {space.path}, so it can't be set on the command line too"
        )
    at_end = isinstance(study.sampler, _EndSampler)
    return Point(config, trial.params, trial.distributions, at_end)


def _study(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=sampler)


class _EndSampler(optuna.samplers.BaseSampler):
    """Low ends, then high ends, once for every choice of the categorical parameters."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

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
