"""What `ffl_ray.results` offers: the tables of a study, the study as Optuna's, and its front."""

from __future__ import annotations

import pandas as pd

from ffl_ray.config.objectives import parse_objective
from ffl_ray.results import pareto
from ffl_ray.results.description import read_description
from ffl_ray.results.frames import arrow, polars
from ffl_ray.results.guard import understood
from ffl_ray.results.history import optuna_study, study_objectives
from ffl_ray.results.reader import Results, find_study, load, load_tables, records
from ffl_ray.results.search_answers.table import answers_frame, study_answers

__all__ = ["Results", "answers", "arrow", "front", "load", "optuna_study", "polars"]


def answers(study: str, storage_path: str | None = None) -> pd.DataFrame:
    """What each searched dimension does to what trials are judged by: a row for each level.

    From all trials that have an epoch, those that were stopped by their curves. `effect`, with
    its 95% interval `low` to `high`, is by how much a level's mean differs from that of the
    others, in the objective's unit or (`unit` log) as the logarithm of a factor; `by_rank` is the
    same of normal scores, in halves of its interval, and has the direction where `low` to `high`
    has 0 in it. `p` is of the whole dimension, by permutation and corrected for the number of
    dimensions; `told` says that it is at most .05, and `predicted` that the completed trials alone
    do not have the direction that is told. `detectable` is the smallest difference that so many
    trials show in four of five cases, `more_trials` about how many more would tell what was seen.

    Args:
        study: a folder or URI, or the name of a study under the storage path.
        storage_path: where studies are; by default ~/ray_results.

    Raises:
        StudyError: no such study, or it is no search.
    """
    storage = find_study(study, storage_path)
    study_objectives(storage)  # a search has some
    objective = parse_objective(read_description(storage)["settings"]["objective"])
    trials, epochs, _ = load_tables(storage)
    with understood(storage.location):
        return answers_frame(study_answers(trials, epochs, objective))


def front(study: str, storage_path: str | None = None) -> pd.DataFrame:
    """The members of completed trials that no other beats in every objective's metric.

    Args:
        study: a folder or URI, or the name of a study under the storage path.
        storage_path: where studies are; by default ~/ray_results.

    Raises:
        StudyError: no such study, or it is no search.
    """
    objectives = study_objectives(find_study(study, storage_path))
    trials, _, members = load(study, storage_path)
    return pd.DataFrame(pareto.front(records(trials), records(members), objectives))
