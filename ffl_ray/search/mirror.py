"""The mirror of a search in an Optuna storage, told live, for Optuna's dashboard and others.

The tables stay the truth: nothing is ever read back from the mirror.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

import optuna
from optuna.storages import BaseStorage, get_storage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from ffl_ray.config.objectives import Objective
from ffl_ray.config.redaction import redacted
from ffl_ray.errors import StudyError


class Mirror:
    """One study in an Optuna storage.

    Args:
        url: of the storage, such as sqlite:///study.db.
        name: of the study.
        objectives: their directions are those of the study.

    Raises:
        StudyError: the storage can't be opened, or holds a study of this name with other
            directions.
    """

    def __init__(self, url: str, name: str, objectives: Sequence[Objective]) -> None:
        directions = [
            StudyDirection.MAXIMIZE if objective.maximised else StudyDirection.MINIMIZE
            for objective in objectives
        ]
        self._url = url
        try:
            self._storage: BaseStorage = get_storage(url)
            self._study = optuna.create_study(
                storage=self._storage, study_name=name, directions=directions, load_if_exists=True
            )
        except Exception as error:
            refused = f"--optuna-storage {url} can't be opened: {error}"
            raise StudyError(redacted(refused, url)) from None
        if self._study.directions != directions:
            raise StudyError(
                f"--optuna-storage {redacted(url, url)} holds a study {name} with other "
                f"objectives: choose another --name"
            )
        self._study_id = self._storage.get_study_id_from_name(name)
        self._count = len(self._study.get_trials(deepcopy=False))
        self._ids: dict[int, int] = {}

    def check(self, trials: Sequence[FrozenTrial] | None) -> None:
        """Check that what the mirror holds is of this study.

        Args:
            trials: that the study's tables hold; None: the study is new.

        Raises:
            StudyError: it holds another one's, of a folder that was deleted for example.
        """
        own = {trial.number: _point(trial) for trial in trials or ()}
        found = self._study.get_trials(deepcopy=False)
        other = [
            trial
            for trial in found
            if trials is None
            or (trial.state.is_finished() and own.get(trial.number) != _point(trial))
        ]
        if other:
            name = self._study.study_name
            refused = (
                f"--optuna-storage {self._url} holds {len(other)} trials of another study {name}, "
                f"and these would not appear: choose another --name, or delete it there (optuna "
                f"delete-study --study-name {name} --storage {shlex.quote(self._url)})"
            )
            raise StudyError(redacted(refused, self._url))

    def open(self, trials: Iterable[FrozenTrial]) -> None:
        """Bring the mirror up to what is known at the start."""
        for trial in trials:
            if trial.state.is_finished():
                self.begin(trial)
                self.end(trial)

    def begin(self, trial: FrozenTrial) -> None:
        """A trial starts, or goes on; it keeps its number."""
        self._fill(trial.number)
        if trial.number == self._count:
            self._add(trial)
            return
        if self._finished(trial.number):
            return
        for name, value in trial.params.items():
            kind = trial.distributions[name]
            self._storage.set_trial_param(
                self._id(trial.number), name, kind.to_internal_repr(value), kind
            )
        for step, value in trial.intermediate_values.items():
            self.report(trial.number, step, value)

    def report(self, number: int, step: int, value: float) -> None:
        """A trial's objective after an epoch."""
        if not self._finished(number):
            self._storage.set_trial_intermediate_value(self._id(number), step, value)

    def end(self, trial: FrozenTrial) -> None:
        """A trial ended as its state says."""
        if not self._finished(trial.number):
            self._storage.set_trial_state_values(self._id(trial.number), trial.state, trial.values)

    def _finished(self, number: int) -> bool:
        return self._storage.get_trial(self._id(number)).state.is_finished()

    def _fill(self, number: int) -> None:
        """Hold the places of lower numbers that start later."""
        while self._count < number:
            self._add(optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING))

    def _add(self, trial: FrozenTrial) -> None:
        self._study.add_trial(trial)
        self._count += 1

    def _id(self, number: int) -> int:
        """The storage's own id of a trial."""
        if number not in self._ids:
            get = self._storage.get_trial_id_from_study_id_trial_number
            self._ids[number] = get(self._study_id, number)
        return self._ids[number]


def _point(trial: FrozenTrial) -> dict[str, float]:
    """A trial's parameters as Optuna's storages hold them, to the digits that all of them keep."""
    kinds = trial.distributions
    return {n: float(f"{kinds[n].to_internal_repr(v):.12g}") for n, v in trial.params.items()}
