"""A study's tables: `ffl_ray.results.load(study)` gives them as pandas DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ffl_ray.results.reader import Results

__all__ = ["load"]


def load(study: str, storage_path: str | None = None) -> Results:
    """The three tables of a study, finished or still running; see `results.reader.load`."""
    from ffl_ray.results import reader

    return reader.load(study, storage_path)


def __getattr__(name: str) -> Any:
    if name == "Results":
        from ffl_ray.results import reader

        return reader.Results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
