"""A time budget: a study ends after so many seconds, whatever happens to the machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
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


class Deadline:
    """The moment at which a search ends, and whether a new trial would be trained by then.

    Args:
        left_s: seconds until then; none: there is no such moment.
        trial_s: seconds that a trial takes from its start to its last epoch, as far as is known.
    """

    def __init__(self, left_s: float | None, trial_s: Callable[[], float | None]) -> None:
        self._ends = None if left_s is None else time.monotonic() + left_s
        self._trial_s = trial_s
        self.came = False

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles what asks into its own state, which is never used here."""
        return {}

    @property
    def left_s(self) -> float | None:
        """Seconds until then, below zero once it has passed; none: there is no such moment."""
        return None if self._ends is None else self._ends - time.monotonic()

    def may_begin(self) -> bool:
        """Whether a trial that begins now would end in time; if not, the search has ended."""
        left_s = self.left_s
        if left_s is not None and left_s < (self._trial_s() or 0.0):
            self.came = True
        return not self.came

    def note(self) -> None:
        """Note whether it has passed."""
        left_s = self.left_s
        self.came |= left_s is not None and left_s <= 0
