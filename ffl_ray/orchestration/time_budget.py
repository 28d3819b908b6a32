"""A time budget: a study ends after so many seconds, whatever happens to the machine's clock."""

from __future__ import annotations

import time
from typing import Any

from ray.tune import Stopper


class TimeBudget(Stopper):
    """Ends the study once its seconds are over, counted from the first time it is asked.

    Tune's own reads the wall clock: set an hour forward, that ends a study at once, and set back,
    it lets it run on.
    """

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s
        self._started: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self._started is None:
            self._started = time.monotonic()
        return time.monotonic() - self._started >= self._budget_s
