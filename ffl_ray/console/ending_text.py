"""Why a search ended, in a few words."""

from __future__ import annotations

from ffl_ray.config.settings import SearchConfig
from ffl_ray.config.values import as_time


def why_ended(search: SearchConfig, left: int, left_s: float | None, *, came: bool) -> str:
    """The reason as the end of a line, empty where all trials have ended and no time was set.

    Args:
        left: trials that have not ended, or not begun.
        left_s: seconds that are left of its time; none: it had all the time.
        came: its time is over, or too short for another trial.
    """
    count = f"{left} of {search.num_samples} trials"
    if left <= 0:
        unused = "" if left_s is None else f", {as_time(max(left_s, 0.0))} before its time was over"
        return f"; all have ended{unused}" if unused else ""
    if not came:
        return f"; it was stopped, with {count} to go"
    times = {"--budget": search.budget_s, "--time-budget-s": search.time_budget_s}
    told = " and ".join(f"{flag} {as_time(s)}" for flag, s in times.items() if s is not None)
    return f"; ended by {told}, with {count} to go"
