"""Optuna's samplers by name, made anew for every proposal with a random stream of its own.

What is proposed depends on the seed, the trial's number and what is known of the others, not on
how often the study was stopped and continued.
"""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import SettingError
from ffl_ray.search.optuna_private import CmaEsSampler, GPSampler


def _tpe(seed: int, search: SearchConfig) -> BaseSampler:
    """Multivariate TPE (Falkner et al. 2018, arXiv:1807.01774, section 3.3)."""
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=search.startup_trials, multivariate=True, constant_liar=True
    )


def _random(seed: int, search: SearchConfig) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _gp(seed: int, search: SearchConfig) -> BaseSampler:
    return GPSampler(seed=seed, n_startup_trials=search.startup_trials)


def _nsga2(seed: int, search: SearchConfig) -> BaseSampler:
    """Deb et al. 2002, NSGA-II; a generation is as many trials as start at random."""
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=search.startup_trials)


def _cmaes(seed: int, search: SearchConfig) -> BaseSampler:
    """Hansen and Ostermeier 2001; choices are drawn at random."""
    return CmaEsSampler(seed=seed, n_startup_trials=search.startup_trials)


SAMPLERS: dict[str, Callable[[int, SearchConfig], BaseSampler]] = {
    "tpe": _tpe,
    "random": _random,
    "gp": _gp,
    "nsga2": _nsga2,
    "cmaes": _cmaes,
    "grid": _random,
}


def new_sampler(search: SearchConfig, number: int, attempt: int = 0) -> BaseSampler:
    """The study's sampler for the trial of this number; a grid's points are fixed beforehand.

    Args:
        attempt: counts what it proposed for this number and what could not be taken.
    """
    seed = (search.seed * 100_003 + number + attempt * 1_000_003) % 2**32
    return SAMPLERS[search.sampler](seed, search)


def check_sampler(search: SearchConfig, num_objectives: int) -> None:
    """Check that the sampler can do what is asked of it.

    Raises:
        SettingError: CMA-ES is asked for several objectives.
    """
    if search.sampler == "cmaes" and num_objectives > 1:
        raise SettingError(
            f"search.sampler cmaes takes one objective, not {num_objectives}: use nsga2 or tpe"
        )


def warn_in_pythons_log() -> None:
    """Have Optuna warn where Python's log goes, as Ray does: the console is ours."""
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
