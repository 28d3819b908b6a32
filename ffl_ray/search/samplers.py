"""Optuna's samplers by name, made anew for every proposal with a random stream of its own.

What is proposed depends on the seed, the trial's number and what is known of the others, not on
how often the study was stopped and continued.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import SettingError
from ffl_ray.search.optuna_private import CmaEsSampler


def _tpe(seed: int, search: SearchConfig) -> BaseSampler:
    """Multivariate TPE (Falkner et al. 2018, arXiv:1807.01774, section 3.3)."""
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=search.startup_trials, multivariate=True, constant_liar=True
    )


def _random(seed: int, search: SearchConfig) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _gp(seed: int, search: SearchConfig) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=search.startup_trials)


def _nsga2(seed: int, search: SearchConfig) -> BaseSampler:
    """Deb et al. 2002, NSGA-II; a generation is as many trials as start at random."""
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=search.startup_trials)


def _cmaes(seed: int, search: SearchConfig) -> BaseSampler:
    """Hansen and Ostermeier 2001; choices, and counts whose range varies, are drawn at random."""
    return CmaEsSampler(seed=seed, n_startup_trials=search.startup_trials)


class _Grid(optuna.samplers.BruteForceSampler):
    """Every point once; Optuna's own stops a loop of Optuna's when all are done.

    A trial's whole point is drawn before it runs, so points of running trials are taken too:
    avoid_premature_stop, for points that are drawn while a trial runs, proposes them twice.
    """

    def after_trial(self, *_: Any) -> None:
        pass


def _grid(seed: int, search: SearchConfig) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _Grid(seed=seed)


SAMPLERS: dict[str, Callable[[int, SearchConfig], BaseSampler]] = {
    "tpe": _tpe,
    "random": _random,
    "gp": _gp,
    "nsga2": _nsga2,
    "cmaes": _cmaes,
    "grid": _grid,
}


def new_sampler(search: SearchConfig, number: int) -> BaseSampler:
    """The study's sampler for the trial of this number."""
    return SAMPLERS[search.sampler]((search.seed * 100_003 + number) % 2**32, search)


def check_sampler(search: SearchConfig, num_objectives: int) -> None:
    """Check that the sampler can do what is asked of it.

    Raises:
        SettingError: CMA-ES is asked for several objectives.
    """
    if search.sampler == "cmaes" and num_objectives > 1:
        raise SettingError(
            f"search.sampler cmaes takes one objective, not {num_objectives}: use nsga2 or tpe"
        )


def check_distributions(
    search: SearchConfig, distributions: Mapping[str, BaseDistribution]
) -> None:
    """Check that the sampler can take these parameters.

    Raises:
        SettingError: a grid is asked for over a range without steps.
    """
    for name, kind in distributions.items():
        if search.sampler == "grid" and isinstance(kind, FloatDistribution) and kind.step is None:
            raise SettingError(
                f"search.sampler grid takes choices, counts and floats with a step, and {name} "
                f"has none"
            )


def grid_size(suggest: Callable[[optuna.Trial], object], most: int) -> int:
    """The number of points of a space without continuous parameters, counted as far as `most`."""

    def visit(trial: optuna.Trial) -> float:
        suggest(trial)
        return 0.0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler = optuna.samplers.BruteForceSampler(seed=0, avoid_premature_stop=True)
    study = optuna.create_study(sampler=sampler)
    study.optimize(visit, n_trials=most)
    return len(study.trials)


def warn_in_pythons_log() -> None:
    """Have Optuna warn where Python's log goes, as Ray does: the console is ours."""
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
