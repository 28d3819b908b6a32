"""The tracking of a search: what the recorder hears goes on to trackers.

Each tracker works in a thread of its own: a server that is gone costs the study nothing, and what
was to be shown meanwhile is lost. The tables are the truth; a tracker is a view of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from ffl_ray.config.overrides import flatten, shown
from ffl_ray.config.redaction import redacted
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.errors import on_one_line
from ffl_ray.results.description import read_description
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.trackers.tracker import END_S, Place, TrackedTrial, Tracker
from ffl_ray.trackers.trackers import TRACKERS

LOG = logging.getLogger("ffl_ray.tracking")
Event = Callable[[Tracker], None]


def tracking_folder(storage: Storage) -> Path:
    """The folder of trackers' files: the study's, or one here when that is no local one."""
    if storage.is_local:
        return Path(storage.location).absolute()
    return Path(f"{storage.location.rpartition('/')[2]}.tracking").absolute()


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch's row; what there is of each branch becomes `name.0`, `name.1`."""
    found: dict[str, float] = {}
    for name, value in row.items():
        values = {name: value}
        if isinstance(value, (list, tuple)):
            values = {f"{name}.{index}": item for index, item in enumerate(value)}
        found |= {
            key: item
            for key, item in values.items()
            if isinstance(item, (int, float)) and not isinstance(item, bool) and key != "epoch"
        }
    return found


def parameters(config: Config, searched: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting by its dotted name, and Optuna's parameters that are no settings."""
    settings = {
        name: value if isinstance(value, (bool, int, float, str)) else shown(value)
        for name, value in flatten(config).items()
    }
    return {**searched, **settings}


class TrackerThread:
    """A tracker that is made and called in a thread of its own.

    Attributes:
        problem: the first thing that went wrong; empty while nothing has.
    """

    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        self.problem = ""
        self._place = place
        self._begun: set[str] = set()
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"track-{name}", daemon=True)
        self._thread.start()

    def start(self, trial: TrackedTrial) -> None:
        """Tell the tracker, soon, that a trial begins."""
        self._put(lambda tracker: self._begin(tracker, trial))

    def epoch(self, trial: TrackedTrial, epoch: int, numbers: dict[str, float]) -> None:
        """Tell it of an epoch, and of the trial if that went wrong before."""

        def tell(tracker: Tracker) -> None:
            self._begin(tracker, trial)
            tracker.epoch(trial, epoch, numbers)

        self._put(tell)

    def end(self, trial: TrackedTrial, status: str) -> None:
        """Tell it how a trial ended."""

        def tell(tracker: Tracker) -> None:
            self._begin(tracker, trial)
            self._begun.discard(trial.name)
            tracker.end(trial, status)

        self._put(tell)

    def finish(self) -> None:
        """Nothing more will come."""
        self._events.put(None)

    def wait(self, until: float) -> None:
        """Return when everything was told, or at a moment of the monotonic clock."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._failed(f"not everything could be handed over within {END_S:.0f} s of the end")

    def _run(self) -> None:
        try:
            tracker = TRACKERS[self.name].make(self._place)
        except Exception as error:
            self._failed(error)
            return
        while (event := self._events.get()) is not None:
            self._try(lambda event=event: event(tracker))  # type: ignore[misc]
        self._try(tracker.close)

    def _put(self, event: Event) -> None:
        if self._thread.is_alive():
            self._events.put(event)

    def _begin(self, tracker: Tracker, trial: TrackedTrial) -> None:
        if trial.name not in self._begun:
            tracker.start(trial)
            self._begun.add(trial.name)

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception | str) -> None:
        if self.problem:
            return
        kind = "" if isinstance(error, str) else f"{type(error).__name__}: "
        text = on_one_line(error)
        self.problem = redacted(f"{kind}{text}", self._place.mlflow or "")[:300]
        LOG.warning("tracking by %s: %s", self.name, self.problem)


class Tracking:
    """Shows a study's trials by some trackers; a context manager around the search.

    Args:
        names: of trackers.
        place: what they are told of the study.
        done: epochs of each trial that an earlier run of the command has shown.
        params_of: Optuna's parameters of a trial number, as JSON.
    """

    def __init__(
        self,
        names: Iterable[str],
        place: Place,
        done: Mapping[str, int],
        params_of: Callable[[int], str],
    ) -> None:
        self._names = tuple(names)
        self._place = place
        self._done = dict(done)
        self._params_of = params_of
        self._threads: list[TrackerThread] = []
        self._trials: dict[str, TrackedTrial] = {}

    def __enter__(self) -> Tracking:
        self._threads = [TrackerThread(name, self._place) for name in self._names]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for thread in self._threads:
            thread.finish()
        until = time.monotonic() + END_S
        for thread in self._threads:
            thread.wait(until)

    def trial_started(self, trial_id: str, config: Config) -> None:
        if trial_id in self._trials or not self._threads:
            return
        searched = json.loads(self._params_of(int(trial_id)))
        trial = TrackedTrial(trial_id, parameters(config, searched), searched)
        self._trials[trial_id] = trial
        for thread in self._threads:
            thread.start(trial)

    def epoch_finished(self, trial_id: str, row: dict[str, Any]) -> None:
        trial = self._trials.get(trial_id)
        if trial is None or row["epoch"] <= self._done.get(trial_id, 0):
            return
        self._done[trial_id] = row["epoch"]
        for thread in self._threads:
            thread.epoch(trial, row["epoch"], numbers(row))

    def trial_ended(self, trial_id: str, status: str, row: dict[str, Any]) -> None:
        trial = self._trials.pop(trial_id, None)
        if trial is not None:
            for thread in self._threads:
                thread.end(trial, status)

    @property
    def lines(self) -> list[str]:
        """Lines for a person: where each tracker shows the study, or its problem."""
        return [
            f"{thread.name}: {thread.problem} (the study itself is complete without it)"
            if thread.problem
            else f"{thread.name}: {TRACKERS[thread.name].where(self._place)}"
            for thread in self._threads
        ]


def tracking_of(
    search: SearchConfig, tables: StudyTables, params_of: Callable[[int], str]
) -> Tracking:
    """The tracking that a study's settings ask for; of no tracker for none."""
    created = str(read_description(tables.storage)["created"])
    mark = hashlib.sha256(created.encode()).hexdigest()[:8]
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    place = Place(tables.name, tracking_folder(tables.storage), mark, uri)
    done = {row["trial_id"]: row["epochs_done"] or 0 for row in tables.trials.rows}
    return Tracking(search.track, place, done, params_of)
