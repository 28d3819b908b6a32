"""A search told live to an Optuna storage, for Optuna's dashboard and whoever else reads it.

The tables stay the truth: nothing is ever read back from the mirror.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import unquote_plus

import optuna
from optuna.storages import BaseStorage, get_storage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from ffl_ray.config.objectives import Objective
from ffl_ray.errors import StudyError


def without_password(text: str, url: str) -> str:
    """A text in which a URL's password, and any secret in its query, reads ***."""
    address, _, query = url.partition("?")
    user = address.partition("://")[2].rpartition("@")[0]
    secrets = [user.partition(":")[2], *(part.partition("=")[2] for part in query.split("&"))]
    for secret in secrets:
        for form in {secret, unquote_plus(secret)} - {""}:
            text = text.replace(form, "***")
    return text


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
        try:
            self._storage: BaseStorage = get_storage(url)
            self._study = optuna.create_study(
                storage=self._storage, study_name=name, directions=directions, load_if_exists=True
            )
        except Exception as error:
            reason = without_password(str(error), url)
            raise StudyError(
                f"--optuna-storage {without_password(url, url)} can't be opened: {reason}"
            ) from None
        if self._study.directions != directions:
            raise StudyError(
                f"--optuna-storage {without_password(url, url)} holds a study {name} with other "
                f"objectives: choose another --name"
            )
        self._ids = {t.number: t._trial_id for t in self._study.get_trials(deepcopy=False)}

    def open(self, trials: Iterable[FrozenTrial]) -> None:
        """Bring the mirror up to what is known at the start."""
        for trial in trials:
            if trial.state.is_finished():
                self.begin(trial)
                self.end(trial)

    def begin(self, trial: FrozenTrial) -> None:
        """A trial starts, or goes on; it keeps its number."""
        self._fill(trial.number)
        if trial.number not in self._ids:
            self._study.add_trial(trial)
            self._note(trial.number)
            return
        if self._finished(trial.number):
            return
        for name, value in trial.params.items():
            kind = trial.distributions[name]
            self._storage.set_trial_param(
                self._ids[trial.number], name, kind.to_internal_repr(value), kind
            )
        for step, value in trial.intermediate_values.items():
            self.report(trial.number, step, value)

    def report(self, number: int, step: int, value: float) -> None:
        """A trial's objective after an epoch."""
        if not self._finished(number):
            self._storage.set_trial_intermediate_value(self._ids[number], step, value)

    def end(self, trial: FrozenTrial) -> None:
        """A trial ended as its state says."""
        if not self._finished(trial.number):
            self._storage.set_trial_state_values(self._ids[trial.number], trial.state, trial.values)

    def _finished(self, number: int) -> bool:
        return self._storage.get_trial(self._ids[number]).state.is_finished()

    def _fill(self, number: int) -> None:
        """Hold the places of lower numbers that start later."""
        while len(self._ids) < number:
            self._study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING))
            self._note(len(self._ids))

    def _note(self, number: int) -> None:
        latest = self._study.get_trials(deepcopy=False)[-1]
        self._ids[number] = latest._trial_id
