"""What bounds a search, beside its machines: its time with what that chose, and what is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ffl_ray.config.values import as_time
from ffl_ray.console.terminal import hours
from ffl_ray.planning.budget import BATCH_SIZE, FRACTION, Fit


class Limits(NamedTuple):
    """The limits of a search.

    Attributes:
        budget_s: of the whole search; none: it has none.
        used_s: of its time, before this start.
        time_budget_s: likewise, which chooses nothing.
        fit: what the budget chose now; none: it chose before, or nothing.
        there: trials that have ended.
        begun: trials that were interrupted and go on.
        trials: in all.
    """

    budget_s: float | None = None
    used_s: float = 0.0
    time_budget_s: float | None = None
    fit: Fit | None = None
    there: int = 0
    begun: int = 0
    trials: int = 0


def there_text(limits: Limits) -> str:
    """How many trials are there and how many are new, where a search goes on."""
    if not limits.there and not limits.begun:
        return ""
    parts = [f"{limits.there} there"]
    parts += [f"{limits.begun} to go on"] if limits.begun else []
    return f" ({', '.join([*parts, f'{limits.trials - limits.there - limits.begun} new'])})"


def limit_lines(limits: Limits) -> Iterator[str]:
    """The time that a search has, and the settings that were chosen to fit it, a line each."""
    used = f", {as_time(limits.used_s)} of them used before" if limits.used_s >= 1 else ""
    if limits.budget_s is not None:
        chosen = ""
        if limits.fit is not None:
            chosen = f"; chosen to fit, about {hours(limits.fit.expected_s)} with start and end:"
        yield f"--budget {as_time(limits.budget_s)}{used}: it ends then{chosen}"
    if limits.time_budget_s is not None:
        yield f"--time-budget-s {as_time(limits.time_budget_s)}{used}: it ends then"
    if limits.fit is not None:
        width = max((len(one.name) for one in limits.fit.chosen), default=0)
        for name, value, more, more_s in limits.fit.chosen:
            yield f"  {name:{width}}  {value}  {_why(name, more, more_s)}".rstrip()


def _why(name: str, more: str, more_s: float | None) -> str:
    if more_s is not None:
        return f"({more}: about {hours(more_s)})"
    if name == BATCH_SIZE:
        return "(by the number of images)"
    return "(all)" if name == FRACTION else "(the most that is offered)"
