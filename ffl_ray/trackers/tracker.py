"""The protocol of a tracker, with the study and the trials that it is told of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol

END_S = 30.0


class Place(NamedTuple):
    """The study as a tracker knows it.

    Attributes:
        study: its name: the experiment, the project.
        folder: where local files go.
        mark: tells this study from an earlier one of the same name.
        mlflow: URI of the user's MLflow; none: a file of the study.
    """

    study: str
    folder: Path
    mark: str
    mlflow: str | None = None

    @property
    def events(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.folder / "tensorboard"

    @property
    def mlflow_uri(self) -> str:
        """The URI of MLflow's runs."""
        return self.mlflow or f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def trackio(self) -> Path:
        """The folder of Trackio's runs, where the user has none elsewhere."""
        return self.folder / "trackio"

    @property
    def wandb(self) -> Path:
        """The folder in which W&B makes its own."""
        return Path(os.environ.get("WANDB_DIR") or self.folder)


class TrackedTrial(NamedTuple):
    """A trial as trackers are told of it.

    Attributes:
        name: its id in the study.
        settings: every setting by its dotted name, and Optuna's parameters that are none.
        searched: Optuna's parameters.
    """

    name: str
    settings: dict[str, Any]
    searched: dict[str, Any]


class Tracker(Protocol):
    """A tool that shows trials; one thread calls it, and it raises what goes wrong."""

    def start(self, trial: TrackedTrial) -> None:
        """A trial begins, or goes on."""
        ...

    def epoch(self, trial: TrackedTrial, epoch: int, numbers: dict[str, float]) -> None:
        """The numbers of a finished epoch."""
        ...

    def end(self, trial: TrackedTrial, status: str) -> None:
        """A trial ended with this status of the trials table."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...
