"""What `ffl_ray.results` offers: the tables of a study, the study as Optuna's, and its front."""

from __future__ import annotations

import pandas as pd

from ffl_ray.results import pareto
from ffl_ray.results.history import optuna_study, study_objectives
from ffl_ray.results.reader import Results, find_study, load, records

__all__ = ["Results", "front", "load", "optuna_study"]


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
