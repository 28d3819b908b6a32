"""ASHA that remembers whom it stopped."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from ffl_ray.config import SearchConfig


class RecordingASHA(AsyncHyperBandScheduler):
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934) over finished epochs.

    Tune ends a trial in the same way when a scheduler stops it, when time runs out and when a
    person interrupts; `stopped` tells the first from the others. A trial that has done all its
    planned epochs is left to end by itself.

    Args:
        metric: what to maximise.
        epochs: planned length of every trial.
    """

    def __init__(self, search: SearchConfig, *, metric: str, epochs: int) -> None:
        grace = min(search.grace_epochs or max(1, epochs // 9), epochs)
        super().__init__(
            time_attr="epoch",
            metric=metric,
            mode="max",
            max_t=epochs,
            grace_period=grace,
            reduction_factor=search.reduction_factor,
        )
        self.stopped: set[str] = set()
        self._epochs = epochs

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision != TrialScheduler.STOP:
            return decision
        if result["epoch"] >= self._epochs:
            return str(TrialScheduler.CONTINUE)
        self.stopped.add(trial.trial_id)
        return decision
