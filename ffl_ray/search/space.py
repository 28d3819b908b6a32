"""Search spaces: a file of search_spaces/, what it proposes, and the settings it begins with."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import optuna

import ffl_ray
from ffl_ray.config.methods import resolved, with_reachable_objective
from ffl_ray.config.objectives import parse_objectives, quality
from ffl_ray.config.overrides import brief, nearest, shown, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig, StudyConfig
from ffl_ray.config.variants import as_read
from ffl_ray.distill.check import check_config
from ffl_ray.errors import SettingError, SpaceError
from ffl_ray.search.mix import settings_from_params
from ffl_ray.search.rungs import check_rungs, with_own_grace
from ffl_ray.search.samplers import check_sampler
from ffl_ray.search.space_trial import as_space_trial

# The settings that a budget chooses, the more important ones first.
FITTED = (
    "data.fraction",
    "search.num_samples",
    "optim.epochs",
    "data.image_size",
    "search.backbones",
)


class SearchSpace(NamedTuple):
    """A loaded space file.

    Attributes:
        path: the file, as a person would name it.
        base: dotted settings that all trials start from, `search.*` among them.
        function: the file's `search_space(trial)`, Optuna's define-by-run form.
        priors: the file's `PRIORS`: where its author believes that the best values lie.
        ladders: the file's `LADDERS`: of some settings the values that a budget chooses from, from
            the least to the most.
        backbones: that mixes are drawn from, instead of those that the file names.
    """

    path: str
    base: Mapping[str, object]
    function: Callable[[optuna.Trial], Mapping[str, object] | None]
    priors: Mapping[str, Any] = MappingProxyType({})
    ladders: Mapping[str, Sequence[object]] = MappingProxyType({})
    backbones: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its ending, fit for the name of a study."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.path).stem).strip("-.") or "study"

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """The settings of one trial: what was suggested, then what the space returned.

        Raises:
            SpaceError: the space fails at this point, which is named.
        """
        try:
            returned = self.function(as_space_trial(trial, self.backbones))
            return {**settings_from_params(trial.params), **(returned or {})}
        except optuna.TrialPruned as error:
            raise SpaceError(
                f"{self.path}: search_space can't refuse a point by {type(error).__name__}: have "
                f"it suggest the later setting from a range that depends on the earlier one, or "
                f"return a value that is allowed (at {named_point(trial.params)})"
            ) from error
        except (Exception, SystemExit) as error:
            raise SpaceError(
                f"{self.path}: search_space fails: {type(error).__name__}: {error} "
                f"(at {named_point(trial.params)})"
            ) from error


def named_point(params: Mapping[str, Any]) -> str:
    """Optuna's parameters in one line."""
    return ", ".join(f"{name}={shown(value)}" for name, value in params.items()) or "no parameter"


def bundled_folder() -> Path:
    """The folder of the spaces that come with the package."""
    package = Path(ffl_ray.__file__).parent
    inside = package / "search_spaces"
    return inside if inside.is_dir() else package.parent / "search_spaces"


def load_space(name: str) -> SearchSpace:
    """The space of a file, or the bundled one of a name.

    Raises:
        SpaceError: no such file, it fails to load, or it lacks BASE or search_space; or it is a
            folder.
    """
    path = Path(name)
    if path.suffix != ".py":
        path = bundled_folder() / f"{name}.py"
    if not path.is_file():
        bundled = sorted(found.stem for found in bundled_folder().glob("*.py"))
        if Path(name).is_dir():
            raise SpaceError(f"{name!r} is a folder and no search space: {folder_search(name)}")
        raise SpaceError(
            f"a search space is a Python file or one of {', '.join(bundled)}, not {name!r}"
            f"{nearest(name, bundled)}"
        )
    module = _loaded(path)
    suggest = getattr(module, "search_space", None)
    if not callable(suggest):
        raise SpaceError(f"{path} must define search_space(trial), and does not")
    base = getattr(module, "BASE", {})
    if not isinstance(base, Mapping):
        raise SpaceError(
            f"{path}: BASE must map dotted settings to values, not {brief(repr(base))}"
        )
    ladders = getattr(module, "LADDERS", {})
    _check_ladders(path, ladders)
    return SearchSpace(str(path), base, suggest, getattr(module, "PRIORS", {}), ladders)


def folder_search(folder: str) -> str:
    """How a folder of images is searched."""
    return f"images of yours are searched by ffl-ray tune folder --data-dir {shlex.quote(folder)}"


def _check_ladders(path: Path, ladders: object) -> None:
    """Check that what a budget chooses from are values of settings that it can choose."""
    if not isinstance(ladders, Mapping) or not ladders.keys() <= set(FITTED):
        raise SpaceError(
            f"{path}: LADDERS must map {', '.join(FITTED)} to values, not {brief(repr(ladders))}"
        )
    for name, values in ladders.items():
        if not isinstance(values, Sequence) or not values:
            raise SpaceError(f"{path}: LADDERS: {name} must have values, not {brief(repr(values))}")
        for value in values:
            try:
                with_overrides(StudyConfig(), {name: value})
            except SettingError as error:
                raise SpaceError(f"{path}: LADDERS: {error}") from error


def _loaded(path: Path) -> ModuleType:
    """A space's file as a module."""
    spec = importlib.util.spec_from_file_location(f"search_space_{path.stem}", path)
    assert spec is not None, "a .py file has a spec"
    assert spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise SpaceError(f"{path} can't be loaded: {type(error).__name__}: {error}") from error
    return module


def settle(space: SearchSpace, overrides: Mapping[str, object]) -> StudyConfig:
    """The settings of a study: defaults, then the space's BASE, then what the command line says.

    Raises:
        SettingError: an override names an unknown setting or breaks a rule, or a folder of data is
            named that would not be read.
        SpaceError: BASE does.
    """
    try:
        base = with_overrides(StudyConfig(), space.base)
    except SettingError as error:
        raise SpaceError(f"{space.path}: BASE: {error}") from error
    chosen = "objective" in overrides or "objective" in space.base
    given = with_overrides(base, overrides)
    _check_reads_folder(given)
    study = _with_objectives(given, chosen=chosen)
    return study.model_copy(update={"search": with_own_grace(study.search, study.training)})


def _check_reads_folder(study: StudyConfig) -> None:
    """Check that a folder of data is read, before a point of the space is blamed."""
    if study.data.name == "digits" and study.data.dir is not None:
        raise SettingError(
            f"data.dir must be none where data.name is digits, which is embedded and reads no "
            f"folder, not {study.data.dir!r}: {folder_search(study.data.dir)}, or by another space "
            f"with --set data.name=folder"
        )


def _with_objectives(study: StudyConfig, *, chosen: bool) -> StudyConfig:
    """One objective unless several are given; the first validation metric prunes, unless chosen."""
    if not chosen:
        study = with_reachable_objective(study)
    objectives = parse_objectives(study.search.objectives or (study.objective,))
    check_sampler(study.search, len(objectives))
    check_rungs(study.search)
    changes: dict[str, object] = {
        "search.objectives": tuple(objective.name for objective in objectives)
    }
    if not chosen:
        changes["objective"] = quality(objectives).name
    bounded = [constraint.of for constraint in study.constraints]
    if any(one.metric == "latency_ms" for one in (*objectives, *bounded)):
        changes["compute.measure_latency"] = True
    return with_overrides(study, changes)


def trial_config(space: SearchSpace, base: Config, trial: optuna.Trial) -> ResolvedConfig:
    """The checked config of one trial.

    Raises:
        SettingError: the proposal names an unknown setting or breaks a rule.
    """
    return proposed_config(base, space.suggest(trial))


def proposed_config(base: Config, proposed: Mapping[str, object]) -> ResolvedConfig:
    """The checked config that a proposal makes of the base; what has no effect has its default.

    Raises:
        SettingError: it names an unknown setting or breaks a rule.
    """
    config = resolved(as_read(with_overrides(base, proposed)))
    check_config(config)
    return config
