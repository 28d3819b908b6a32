"""The history of a study: its trials, as its tables have them, in Optuna's terms."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import optuna
from optuna.distributions import json_to_distribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from ffl_ray.config.objectives import Objective, parse_objectives
from ffl_ray.config.settings import Config
from ffl_ray.errors import StudyError
from ffl_ray.results.columns import AUDITED, BASELINE, PLAIN
from ffl_ray.results.description import read_description
from ffl_ray.results.guard import check_numbers, understood
from ffl_ray.results.reader import find_study, objective_by_epoch, read_rows
from ffl_ray.results.sampler_state import plain_state
from ffl_ray.results.schema import kept_choice, params_of, row_config
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.trainings import training_key

Row = Mapping[str, Any]
STATES = {
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "interrupted": TrialState.RUNNING,
    "running": TrialState.RUNNING,
}


class PastTrial(NamedTuple):
    """A trial of an earlier run.

    Attributes:
        trial_id: its number, five digits.
        config: its settings; none when it has ended, since nobody trains it again.
        state: what Optuna is told of it; RUNNING when it is to go on.
        epochs: the setting objective after each finished epoch.
        values: the study's objectives after the latest one.
        params: Optuna's parameters.
        distributions: Optuna's distributions of them.
        sampler_state: what Optuna's sampler noted of it, and of the study in its time.
        audited: the epoch after which the scheduler would have stopped it; it was let pass.
        baseline: what it is held up as, of `ffl_ray.results.columns`; none: what was proposed.
        seed: of its training.
        training: `training_key` of it.
    """

    trial_id: str
    config: Config | None
    state: TrialState
    epochs: dict[int, float]
    values: list[float]
    params: dict[str, Any]
    distributions: dict[str, optuna.distributions.BaseDistribution]
    sampler_state: dict[str, Any]
    audited: int | None = None
    baseline: str | None = None
    seed: int = 0
    training: str = ""

    @property
    def goes_on(self) -> bool:
        """Whether it was interrupted."""
        return self.state == TrialState.RUNNING

    def frozen(self) -> optuna.trial.FrozenTrial:
        """The trial as Optuna keeps it; several objectives have no intermediate values."""
        now = datetime.now(UTC).replace(tzinfo=None)
        complete = self.state == TrialState.COMPLETE
        return optuna.trial.FrozenTrial(
            number=int(self.trial_id),
            trial_id=int(self.trial_id),
            state=self.state,
            value=None,
            values=self.values if complete else None,
            datetime_start=now,
            datetime_complete=None if self.goes_on else now,
            params=self.params,
            distributions=self.distributions,
            user_attrs={BASELINE: self.baseline} if self.baseline else {},
            system_attrs=self.sampler_state.get("trial", {}),
            intermediate_values={} if len(self.values) > 1 else self.epochs,
        )


def past_trials(trials: Iterable[Row], values: Mapping[str, dict[int, float]]) -> list[PastTrial]:
    """The trials that a study's tables hold, in order of their numbers.

    Args:
        trials: rows of the trials table.
        values: the setting objective by epoch, by trial.
    """
    with understood("the trials table"):
        rows = sorted(trials, key=lambda row: str(row["trial_id"]))
        check_numbers(row["trial_id"] for row in rows)
        return [_past_trial(row, values) for row in rows]


def _past_trial(row: Row, values: Mapping[str, dict[int, float]]) -> PastTrial:
    state, baseline = STATES[row["status"]], row.get(BASELINE)
    if baseline == PLAIN and state.is_finished():
        state = TrialState.FAIL  # no point of the space: nothing learns from it
    return PastTrial(
        trial_id=row["trial_id"],
        config=row_config(row) if state == TrialState.RUNNING else None,
        state=state,
        epochs=values.get(row["trial_id"], {}),
        values=row["objective_values"] or [],
        params=params_of(row["params"]),
        distributions=distributions_of(row["distributions"]),
        sampler_state=plain_state(json.loads(row["sampler_state"] or "{}")),
        audited=row.get(AUDITED),
        baseline=baseline,
        seed=row.get("seed") or 0,
        training=training_key(row),
    )


@functools.lru_cache(maxsize=4096)
def distributions_of(text: str) -> dict[str, optuna.distributions.BaseDistribution]:
    """Optuna's distributions of a trial; most trials of a study have the same ones.

    A count of a mix was bounded by the branches that were left; its range is fixed now.
    """
    kinds = json.loads(text)
    sizes = kinds.get("num_branches", {"attributes": {}})["attributes"]
    for name, kind in kinds.items():
        if "high" in sizes and name.startswith("mix.") and kind["name"] == "IntDistribution":
            kind["attributes"] |= {"low": 0, "high": sizes["high"]}
    for kind in kinds.values():
        of = kind["attributes"]
        if "choices" in of:
            of["choices"] = [kept_choice(choice) for choice in of["choices"]]
    return {name: json_to_distribution(json.dumps(kind)) for name, kind in kinds.items()}


def new_optuna_study(
    objectives: Sequence[Objective],
    past: Iterable[PastTrial] = (),
    name: str | None = None,
    storage: BaseStorage | None = None,
) -> optuna.Study:
    """A study, made again from the trials that the tables hold.

    A number that the tables skip was proposed and killed before it started: it stands here as a
    running trial without parameters.

    Args:
        storage: an empty one to make it in; none: one in memory.
    """
    # Its notes on parameters that a sampler draws one by one are for authors of samplers.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = [objective.direction for objective in objectives]
    storage = storage or InMemoryStorage()
    study = optuna.create_study(storage=storage, directions=directions, study_name=name)
    study_id = storage.get_study_id_from_name(study.study_name)
    added = 0
    for trial in past:
        for key, value in trial.sampler_state.get("study", {}).items():
            storage.set_study_system_attr(study_id, key, value)
        for _ in range(int(trial.trial_id) - added):
            study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING))
        study.add_trial(trial.frozen())
        added = int(trial.trial_id) + 1
    return study


def optuna_study(study: str, storage_path: str | None = None) -> optuna.Study:
    """A search as an `optuna.Study` in memory: for its plots, importances and analyses.

    Args:
        study: a folder or URI, or the name of a study under the storage path.
        storage_path: where studies are; by default ~/ray_results.

    Raises:
        StudyError: no such study, it is no search, or a table is damaged.
    """
    storage = find_study(study, storage_path)
    with understood(storage.location):
        objectives = study_objectives(storage)
        past = past_trials(read_rows(storage, "trials"), objective_by_epoch(storage))
        return new_optuna_study(objectives, past, read_description(storage)["study"])


def study_objectives(storage: Storage) -> tuple[Objective, ...]:
    """What a search was for.

    Raises:
        StudyError: the study is no search.
    """
    description = read_description(storage)
    if description["kind"] != "search":
        raise StudyError(f"{storage.location} is no search: it holds a {description['kind']}")
    with understood(storage.location):
        names = description["settings"]["search.objectives"]
        return parse_objectives(names or [description["settings"]["objective"]])
