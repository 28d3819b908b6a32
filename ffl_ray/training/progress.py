"""How far a training is: what a checkpoint says beside weights and optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from ffl_ray.training.session import Report


class WorkerState(NamedTuple):
    """What one worker alone knows of an epoch that is not finished.

    Attributes:
        sums: of each loss term over its images, and how many those are.
        statistics: its batch norm statistics; none where it is the only worker.
    """

    sums: list[float]
    statistics: dict[str, Tensor]


class UnfinishedEpoch(NamedTuple):
    """An epoch between two of its steps; without a step it has not begun.

    Attributes:
        steps_done: finished steps.
        seconds: it has taken.
        names: of the loss terms.
        ranks: the workers, in order.
    """

    steps_done: int = 0
    seconds: float = 0.0
    names: Sequence[str] = ()
    ranks: Sequence[WorkerState] = ()


class Progress(NamedTuple):
    """How far a training is.

    Attributes:
        epochs_done: finished epochs.
        best_epoch: the one with the best objective, counted from 1; 0 before the first.
        best_score: its value, turned so that more is better.
        accelerator_s: seconds of all workers so far.
        settings: the config it is trained with, as text.
        report: what was, or is about to be, reported of the latest epoch.
        earlier: the same of epochs before it that may not have arrived.
        unfinished: the next epoch, as far as it was trained when it was stored.
        data: the facts of its data, as JSON; nothing in a checkpoint of an older version.
    """

    epochs_done: int = 0
    best_epoch: int = 0
    best_score: float = float("-inf")
    accelerator_s: float = 0.0
    settings: str = ""
    report: Report | None = None
    earlier: tuple[Report, ...] = ()
    unfinished: UnfinishedEpoch = UnfinishedEpoch()
    data: str = ""

    @property
    def reports(self) -> tuple[Report, ...]:
        """The latest epochs' reports, in order."""
        return self.earlier if self.report is None else (*self.earlier, self.report)

    @property
    def latest_is_best(self) -> bool:
        """Whether no epoch before was as good as the latest."""
        return self.best_epoch == self.epochs_done

    def after_epoch(self, score: float, accelerator_s: float) -> Progress:
        """The progress with one epoch more, which is yet to be reported.

        Args:
            score: the epoch's objective, turned so that more is better.
            accelerator_s: seconds that it took all workers.
        """
        done = self._replace(
            epochs_done=self.epochs_done + 1,
            accelerator_s=self.accelerator_s + accelerator_s,
            unfinished=UnfinishedEpoch(),
        )
        if score > self.best_score:
            return done._replace(best_epoch=done.epochs_done, best_score=score)
        return done

    def with_report(self, report: Report, keep: int) -> Progress:
        """The progress with its latest epoch's report, and so many of those before it."""
        earlier = self.reports[-keep:] if keep else ()
        return self._replace(report=report, earlier=earlier)
