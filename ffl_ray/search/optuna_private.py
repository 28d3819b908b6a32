"""Private names of Optuna that we need, each with its source, in this file alone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna

# https://github.com/optuna/optuna/blob/v5.0.0/optuna/_gp/acqf.py
from optuna._gp.acqf import BaseAcquisitionFunc

# https://github.com/optuna/optuna/blob/v5.0.0/optuna/_transform.py
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution

# https://github.com/optuna/optuna/blob/v5.0.0/optuna/samplers/_tpe/sampler.py
from optuna.samplers._tpe.sampler import _split_trials

# https://github.com/optuna/optuna/blob/v5.0.0/optuna/samplers/_tpe/sampler.py
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from ffl_ray.search.mix import NUM_BRANCHES, PREFIX, nearest_multisets


def with_whole_mixes(
    columns: Mapping[str, np.ndarray], space: Mapping[str, BaseDistribution]
) -> dict[str, np.ndarray]:
    """Points whose counts, wherever a sampler put them, are those of the nearest multisets.

    Args:
        columns: the points' values of each parameter.
        space: its parameters; one that has a single value may be missing.
    """
    names = [name for name in columns if name.startswith(PREFIX)]
    if not names:
        return dict(columns)
    counts = np.stack([columns[name] for name in names], axis=1).astype(float)
    most: Any = space[names[0]]
    sizes = np.rint(columns.get(NUM_BRANCHES, np.full(len(counts), most.high))).astype(int)
    nearest = nearest_multisets(sizes, counts).T
    return {**columns, **dict(zip(names, nearest, strict=True))}


class _MixAcquisition(BaseAcquisitionFunc):
    """An acquisition function of the point that a proposal becomes.

    Args:
        of: of a point as it is.
        space: whose parameters are the columns of a point, scaled to 0 to 1.
    """

    def __init__(self, of: BaseAcquisitionFunc, space: Mapping[str, BaseDistribution]) -> None:
        super().__init__(of.length_scales, of.search_space)
        self._of = of
        self._space = space
        self._ranges: dict[int, Any] = {
            place: kind
            for place, (name, kind) in enumerate(space.items())
            if name == NUM_BRANCHES or name.startswith(PREFIX)
        }

    def eval_acqf(self, x: Any) -> Any:
        """Its values at points, along the last axis of a tensor."""
        names, whole = list(self._space), x.clone()
        flat = x.detach().numpy().reshape(-1, len(names))
        scaled = {
            names[i]: flat[:, i] * (kind.high - kind.low + 1) + kind.low - 0.5
            for i, kind in self._ranges.items()
        }
        found = with_whole_mixes(scaled, self._space)
        for i, kind in self._ranges.items():
            values = (found[names[i]] - kind.low + 0.5) / (kind.high - kind.low + 1)
            whole[..., i] = x.new_tensor(values).reshape(x.shape[:-1])
        return self._of.eval_acqf(whole)


class GPSampler(optuna.samplers.GPSampler):
    """A Gaussian process that knows which counts make a mix."""

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """As Optuna's own."""
        self._space = search_space
        return super().sample_relative(study, trial, search_space)

    def _optimize_acqf(
        self, acqf: BaseAcquisitionFunc, best_params: np.ndarray | None
    ) -> np.ndarray:
        return super()._optimize_acqf(_MixAcquisition(acqf, self._space), best_params)


class CmaEsSampler(optuna.samplers.CmaEsSampler):
    """CMA-ES whose optimiser is made again from the trials of each full generation.

    Optuna keeps it as a pickle among a trial's attributes and unpickles the last one it finds
    (`_restore_optimizer`, https://github.com/optuna/optuna/blob/v5.0.0/optuna/samplers/_cmaes.py).
    All that it learns from is in the trials: their generation, parameters and values.
    """

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """As Optuna's own."""
        self._known = study, search_space
        return super().sample_relative(study, trial, search_space)

    def after_trial(self, *ended: Any) -> None:
        """As Optuna's own, which warns that it models no constraints: a search passes them over."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            super().after_trial(*ended)

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        study, search_space = self._known
        space = _SearchSpaceTransform(search_space, transform_step=True, transform_0_1=True)
        sign = 1.0 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1.0
        drawn = self._cma_rng.rng.get_state()
        optimizer = self._init_optimizer(space, study.direction)
        if any(trial.system_attrs.get(self._attr_key_generation) for trial in completed_trials):
            self._cma_rng.rng.set_state(drawn)  # Optuna's would not have been made anew
        while True:
            trials = self._get_solution_trials(completed_trials, optimizer.generation)
            if len(trials) < optimizer.population_size:
                return optimizer
            optimizer.tell(
                [
                    (space.transform(trial.params), sign * trial.values[0])
                    for trial in trials[: optimizer.population_size]
                ]
            )


def fixed_trial(study: optuna.Study, number: int | None, params: Mapping[str, Any]) -> optuna.Trial:
    """A trial that has these parameters; its sampler draws the others.

    `enqueue_trial` fixes them in the same attribute, of a new trial alone
    (https://github.com/optuna/optuna/blob/v5.0.0/optuna/study/study.py).

    Args:
        number: of a trial that was proposed and never started; none: a new one.
    """
    if number is None:
        if params:
            study.enqueue_trial(dict(params))
        return study.ask()
    if params:
        trial_id = study.get_trials(deepcopy=False)[number]._trial_id
        study._storage.set_trial_system_attr(trial_id, "fixed_params", dict(params))
    return optuna.Trial(study, number)


def best_and_others(
    study: optuna.Study, ended: list[FrozenTrial], count: int
) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """The best of ended trials, as TPE has them, and all others.

    Args:
        count: of the best.
    """
    return _split_trials(study, ended, count)


def copied(study: optuna.Study) -> optuna.Study:
    """A study with the same trials and notes, in a storage of its own."""
    storage = InMemoryStorage()
    copy = optuna.create_study(storage=storage, directions=study.directions)
    notes = study._storage.get_study_system_attrs(study._study_id)
    for key, value in notes.items():
        storage.set_study_system_attr(copy._study_id, key, value)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy
