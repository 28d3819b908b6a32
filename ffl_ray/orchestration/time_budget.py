"""The end of a search's time, whatever happens to the machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ray.tune import Stopper

from ffl_ray.orchestration.search_study import Search
from ffl_ray.planning.budget import ending_s
from ffl_ray.results.spent import note_used

NOTED_EVERY_S = 5.0


class Deadline(Stopper):
    """The moment at which a search ends, and whether a new trial would be trained by then.

    Tune's own reads the wall clock: set an hour forward, that ends a study at once, and set back,
    it lets it run on.

    Args:
        left_s: seconds until then; none: there is no such moment.
        trial_s: seconds that a trial takes from its start to its last epoch, as far as is known.
        note: is told every few seconds that the search still goes on.

    Attributes:
        came: the search ended because of it.
    """

    def __init__(
        self,
        left_s: float | None,
        trial_s: Callable[[], float | None] = lambda: None,
        note: Callable[[], None] = lambda: None,
    ) -> None:
        self._ends = None if left_s is None else time.monotonic() + left_s
        self._trial_s, self._note = trial_s, note
        self._noted = time.monotonic()
        self.came = False

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles it into its own state, which is never used here."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    @property
    def left_s(self) -> float | None:
        """Seconds until then, below zero once it has passed; none: there is no such moment."""
        return None if self._ends is None else self._ends - time.monotonic()

    def may_begin(self) -> bool:
        """Whether a trial that begins now would end in time; if not, the search has ended."""
        left_s = self.left_s
        self.came |= left_s is not None and left_s < (self._trial_s() or 0.0)
        return not self.came

    def stop_all(self) -> bool:
        """Whether it has passed, which stops the trials that still run."""
        if time.monotonic() - self._noted >= NOTED_EVERY_S:
            self.note()
        passed = self.left_s is not None and self.left_s <= 0
        self.came |= passed
        return passed

    def note(self) -> None:
        """Tell that the search still goes on, or ends now."""
        self._noted = time.monotonic()
        with suppress(OSError):  # a trial's row that finds no room ends the search
            self._note()


def deadline_of(search: Search, used_s: float, trial_s: Callable[[], float | None]) -> Deadline:
    """The end of the search: of its budget, or of its time budget, whichever comes first.

    Both are the whole search's, earlier starts included. Only a budget keeps trials from beginning.

    Args:
        used_s: by earlier starts.
        trial_s: as in `Deadline`.
    """

    def passed_s() -> float:
        return time.monotonic() - search.started + used_s

    def note() -> None:
        note_used(search.storage, passed_s())

    config = search.settings.search
    left = [] if config.time_budget_s is None else [config.time_budget_s - passed_s()]
    if config.budget_s is None:
        return Deadline(min(left, default=None), note=note)
    left.append(config.budget_s - passed_s() - ending_s(passed_s() - used_s))
    return Deadline(min(left), trial_s, note)
