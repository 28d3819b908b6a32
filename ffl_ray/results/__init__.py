"""A study's tables: `load` gives them as DataFrames, `optuna_study` as an Optuna study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from ffl_ray.results.reader import Results

__all__ = ["front", "load", "optuna_study"]


def load(study: str, storage_path: str | None = None) -> Results:
    """The three tables of a study, finished or still running; see `results.reader.load`."""
    from ffl_ray.results import reader

    return reader.load(study, storage_path)


def optuna_study(study: str, storage_path: str | None = None) -> optuna.Study:
    """A search as an `optuna.Study` in memory; see `results.history.optuna_study`."""
    from ffl_ray.results import history

    return history.optuna_study(study, storage_path)


def front(study: str, storage_path: str | None = None) -> pd.DataFrame:
    """The members of completed trials that no other beats in every objective's metric.

    Raises:
        StudyError: no such study, or it is no search.
    """
    import pandas as pd

    from ffl_ray.results import history, pareto, reader
    from ffl_ray.results.reader import records

    objectives = history.study_objectives(reader.find_study(study, storage_path))
    trials, _, members = reader.load(study, storage_path)
    return pd.DataFrame(pareto.front(records(trials), records(members), objectives))


def __getattr__(name: str) -> Any:
    if name == "Results":
        from ffl_ray.results import reader

        return reader.Results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
