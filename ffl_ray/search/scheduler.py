"""ASHA that remembers whom it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from ffl_ray.config import SearchConfig
from ffl_ray.search.history import PastTrial


class RecordingASHA(AsyncHyperBandScheduler):
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934) over finished epochs.

    Tune ends a trial in the same way when a scheduler stops it, when time runs out and when a
    person interrupts; `stopped` tells the first from the others. A trial that has done all its
    planned epochs is left to end by itself.

    Args:
        metric: what to maximise.
        epochs: planned length of every trial.
        past: trials of an earlier run; their epochs count at the rungs.
    """

    def __init__(
        self, search: SearchConfig, *, metric: str, epochs: int, past: Sequence[PastTrial] = ()
    ) -> None:
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
        self._interrupted = {trial.trial_id: trial for trial in past if trial.goes_on}
        for trial in past:
            if not trial.goes_on:
                self._replay(SimpleNamespace(trial_id=f"past {trial.trial_id}"), trial.values)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial begins; of one that goes on, all epochs but the latest have been judged.

        The worker reports the latest one again: whether it was judged is not known.
        """
        super().on_trial_add(tune_controller, trial)
        past = self._interrupted.pop(trial.config["trial_id"], None)
        if past is not None and past.values:
            latest = max(past.values)
            self._replay(trial, {e: v for e, v in past.values.items() if e < latest})

    def _replay(self, trial: Any, values: dict[int, float]) -> None:
        for epoch, value in sorted(values.items()):
            self._brackets[0].on_result(trial, epoch, value)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision != TrialScheduler.STOP:
            return decision
        if result["epoch"] >= self._epochs:
            return str(TrialScheduler.CONTINUE)
        self.stopped.add(trial.trial_id)
        return decision
