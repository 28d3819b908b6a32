"""A study as a report needs it: its tables read once, with what was searched and measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from ffl_ray.config.objectives import Objective, parse_objectives, quality
from ffl_ray.config.older import EPOCHS, SHARES, as_then
from ffl_ray.confirm.tables import FINAL_KINDS, FOLDER
from ffl_ray.errors import StudyError
from ffl_ray.results.best import BUT_SEED, Best, MembersOf, called_best, members_by_trial, ranked
from ffl_ray.results.columns import BASELINE
from ffl_ray.results.description import read_description
from ffl_ray.results.plain import HeldAgainst, held_against_plain
from ffl_ray.results.reader import check_has_trials, load_tables, records
from ffl_ray.results.sampler_state import keeps_constraints
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.mix import NUM_BRANCHES, settings_from_params

MIX = "model.mix"


@dataclass(frozen=True, eq=False)
class Study:
    """A study that a report is made from.

    Attributes:
        storage: its folder.
        description: what its study.json says.
        objectives: of a search, or the one that a training is judged by; none where nothing is
            chosen: final runs are measured once.
        trials: the trials table, with a column for the value of each objective.
        epochs: the epochs table.
        members: the members table.
    """

    storage: Storage
    description: Mapping[str, Any]
    objectives: tuple[Objective, ...]
    trials: pd.DataFrame
    epochs: pd.DataFrame
    members: pd.DataFrame

    @property
    def name(self) -> str:
        return str(self.description["study"])

    @property
    def is_search(self) -> bool:
        return bool(self.description["kind"] == "search")

    @property
    def is_final(self) -> bool:
        """Whether its runs are trained on train and val together and measured on the test split."""
        return self.description["kind"] in FINAL_KINDS

    @property
    def has_confirmation(self) -> bool:
        """Whether `python -m ffl_ray.confirm` was begun on it."""
        return self.storage.child(FOLDER).exists("study.json")

    @property
    def data_name(self) -> str:
        """The data set that it was trained on."""
        names = self.trials["data.name"].dropna().unique()
        return str(self.description["settings"].get("data.name") or ", ".join(sorted(names)))

    @cached_property
    def quality(self) -> Objective:
        """The objective that says how good a trial is: the first that is no cost."""
        return quality(self.objectives)

    @property
    def num_val(self) -> int | None:
        """Images that everything was validated on, when the study says so."""
        found = self.description.get("data", {}).get("num_val")
        return None if found is None or self.splits != ["val"] else int(found)

    @cached_property
    def splits(self) -> list[str]:
        """The splits that members were measured on: val, or test where a study confirms another."""
        return sorted(set(self.members["split"].dropna())) or ["val"]

    @cached_property
    def completed(self) -> pd.DataFrame:
        """The trials that were trained to their end, best first by quality.

        Behind them stand those that break a constraint.
        """
        found = best_first(self.trials[self.trials["status"] == "completed"], self.quality)
        keeps = [keeps_constraints(row) for row in records(found[["sampler_state"]])]
        order = sorted(range(len(found)), key=lambda place: not keeps[place])
        return found.iloc[order].reset_index(drop=True)

    @cached_property
    def called_best(self) -> Best | None:
        """The trial that the end of the search called best."""
        if len(self.objectives) > 1:
            return None
        wanted = {"trial_id", "status", "objective_values", "sampler_state", "seed", *BUT_SEED}
        rows = records(self.trials[[name for name in self.trials if name in wanted]])
        order = ranked(rows, self.objectives)
        return called_best(order, self.objectives, self._members_of, trials=rows)

    @cached_property
    def against_plain(self) -> HeldAgainst | None:
        """The plain baseline held against what was found, if there is one."""
        if not self.is_search or BASELINE not in self.trials:
            return None
        names = ["trial_id", "status", "objective_values", "sampler_state", BASELINE, MIX]
        rows = records(self.trials[[*names, "accelerator_s"]])
        return held_against_plain(rows, self.objectives, self._members_of)

    @cached_property
    def _members_of(self) -> MembersOf:
        return members_by_trial(records(self.members))

    @cached_property
    def searched(self) -> list[str]:
        """The columns of the trials table that a search varied, the branches first."""
        names = dict.fromkeys(
            name for text in self.trials["params"].dropna() for name in searched_settings(text)
        )
        return sorted(names, key=lambda name: name not in (NUM_BRANCHES, MIX))

    @property
    def measured(self) -> str:
        """The sentence of a caption that says what every accuracy was measured on."""
        if self.splits != ["val"]:
            return f"Measured on the split {' and '.join(self.splits)}."
        images = "images" if self.num_val is None else f"{self.num_val} images"
        chosen = (
            "the search chose by them, so the best of many reads too high"
            if self.is_search
            else "nothing was chosen by them, and the last epoch counts"
        )
        return f"Measured on the {images} of the validation split; {chosen}."


def open_study(storage: Storage) -> Study:
    """A study's folder, read once.

    Raises:
        StudyError: it can't be read, or has no trial yet.
    """
    description = read_description(storage)
    trials, epochs, members = load_tables(storage)
    check_has_trials(storage, trials)
    objectives = _objectives(description, storage)
    for position, objective in enumerate(objectives):
        trials[objective.name] = [_at(values, position) for values in trials["objective_values"]]
    for old, share in SHARES.items():
        if share in trials and trials["params"].str.contains(old, regex=False).any():
            trials[old] = as_then(old, trials[share], trials[EPOCHS])
    return Study(storage, description, objectives, trials, epochs, members)


def best_first(trials: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Trials in falling order of an objective; those without a value last."""
    return trials.sort_values(objective.name, ascending=not objective.maximised, ignore_index=True)


def searched_settings(params: str) -> list[str]:
    """The columns that a trial's Optuna parameters set; a mix sets two."""
    names = list(settings_from_params(json.loads(params)))
    return [NUM_BRANCHES, *names] if MIX in names else names


def _objectives(description: Mapping[str, Any], storage: Storage) -> tuple[Objective, ...]:
    if description["kind"] in FINAL_KINDS:
        return ()
    settings = description["settings"]
    names = settings.get("search.objectives") or [settings.get("objective", "fused.accuracy")]
    try:
        return parse_objectives(names)
    except ValueError as error:
        place = storage.child("study.json").location
        raise StudyError(f"{place} is damaged: objectives {error}") from error


def _at(values: Any, position: int) -> float | None:
    return None if values is None else float(values[position])
