"""A study's tables: `load` gives them as DataFrames, `answers` what they say of the search.

`arrow` and `polars` give one table in Arrow's memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ffl_ray.results.api import Results, answers, arrow, front, load, optuna_study, polars

__all__ = ["Results", "answers", "arrow", "front", "load", "optuna_study", "polars"]


def __getattr__(name: str) -> Any:
    """A public name, from `results.api`; pandas and Optuna are loaded when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ffl_ray.results import api

    return getattr(api, name)
