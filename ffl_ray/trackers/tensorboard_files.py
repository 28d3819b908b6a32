"""TensorBoard's event files, a folder for each trial, with the tags that Ray Tune gives."""

from __future__ import annotations

import math

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from ffl_ray.files import inside
from ffl_ray.trackers.tracker import Place, TrackedTrial

PREFIX = "ray/tune/"
FLUSH_S = 30


class TensorBoardFiles:
    """A tracker that writes event files."""

    def __init__(self, place: Place) -> None:
        self._events = place.events
        self._writers: dict[str, SummaryWriter] = {}
        self._latest: dict[str, dict[str, float]] = {}

    def start(self, trial: TrackedTrial) -> None:
        folder = inside(self._events, trial.name)
        folder.mkdir(parents=True, exist_ok=True)
        self._writers[trial.name] = SummaryWriter(str(folder), flush_secs=FLUSH_S)

    def epoch(self, trial: TrackedTrial, epoch: int, numbers: dict[str, float]) -> None:
        writer = self._writers[trial.name]
        known = {f"{PREFIX}{n}": value for n, value in numbers.items() if not math.isnan(value)}
        for tag, value in known.items():
            writer.add_scalar(tag, value, epoch)
        writer.flush()
        self._latest[trial.name] = known

    def end(self, trial: TrackedTrial, status: str) -> None:
        """Write what the tab of hyperparameters shows, of what this run of the study has told."""
        writer = self._writers.pop(trial.name)
        latest = self._latest.pop(trial.name, None)
        if latest:
            for summary in hparams(trial.searched | {"status": status}, latest):
                writer.file_writer.add_summary(summary)
        writer.close()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
