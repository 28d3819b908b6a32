"""The protocol of a view: the events of a running study, for whoever shows them."""

from __future__ import annotations

from typing import Any, Protocol

from ffl_ray.config.settings import Config


class View(Protocol):
    """A view of a running study."""

    def trial_started(self, trial_id: str, config: Config) -> None:
        """A trial begins."""
        ...

    def epoch_finished(self, trial_id: str, row: dict[str, Any]) -> None:
        """A trial has one more epoch."""
        ...

    def trial_ended(self, trial_id: str, status: str, row: dict[str, Any]) -> None:
        """A trial ended; `row` is its row of the trials table."""
        ...


class Views:
    """Several views of a study as one."""

    def __init__(self, *views: View) -> None:
        self._views = views

    def trial_started(self, trial_id: str, config: Config) -> None:
        for view in self._views:
            view.trial_started(trial_id, config)

    def epoch_finished(self, trial_id: str, row: dict[str, Any]) -> None:
        for view in self._views:
            view.epoch_finished(trial_id, row)

    def trial_ended(self, trial_id: str, status: str, row: dict[str, Any]) -> None:
        for view in self._views:
            view.trial_ended(trial_id, status, row)
