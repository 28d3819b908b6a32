"""Schedulers that remember whom they stopped, and that judge by the trials of earlier runs too.

Tune ends a trial in the same way when a scheduler stops it, when time runs out and when a person
interrupts; `stopped` tells the first from the others. A trial that has done all its planned
epochs is left to end by itself.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from ffl_ray.config.objectives import VALUE, Objective
from ffl_ray.config.settings import SearchConfig
from ffl_ray.planning.forecast import grace_epochs, num_brackets
from ffl_ray.results.history import PastTrial


def make_scheduler(
    search: SearchConfig, objective: Objective, epochs: int, past: Sequence[PastTrial] = ()
) -> StudyScheduler:
    """The study's scheduler.

    Args:
        objective: what trials are judged by.
        epochs: planned length of every trial.
        past: trials of an earlier run; their epochs count.
    """
    mode = "max" if objective.maximised else "min"
    if search.scheduler == "none":
        return RecordingFIFO()
    if search.scheduler == "median":
        return RecordingMedian(mode, grace_epochs(search, epochs), epochs, past)
    brackets = num_brackets(search, epochs) if search.scheduler == "hyperband" else 1
    return RecordingASHA(search, mode=mode, epochs=epochs, brackets=brackets, past=past)


class RecordingFIFO(FIFOScheduler):
    """Stops nobody."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stopped: set[str] = set()


class RecordingASHA(AsyncHyperBandScheduler):
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934) over finished epochs.

    With several brackets it is the asynchronous form of Hyperband (Li et al. 2018,
    arXiv:1603.06560): each later bracket stops nobody before a later rung. A trial's bracket
    follows from the seed and its number, more trials going to the earlier ones.

    Args:
        mode: max or min.
        epochs: planned length of every trial.
        past: trials of an earlier run; their epochs count at the rungs.
    """

    def __init__(
        self,
        search: SearchConfig,
        *,
        mode: str,
        epochs: int,
        brackets: int = 1,
        past: Sequence[PastTrial] = (),
    ) -> None:
        super().__init__(
            time_attr="epoch",
            metric=VALUE,
            mode=mode,
            max_t=epochs,
            grace_period=grace_epochs(search, epochs),
            reduction_factor=search.reduction_factor,
            brackets=brackets,
        )
        self.stopped: set[str] = set()
        self._seed = search.seed
        self._epochs = epochs
        self._interrupted = {trial.trial_id: trial for trial in past if trial.goes_on}
        for trial in past:
            if not trial.goes_on:
                name = SimpleNamespace(trial_id=f"past {trial.trial_id}")
                self._replay(name, self._bracket_of(trial.trial_id), trial.epochs)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial begins; of one that goes on, all epochs but the latest have been judged.

        The worker reports the latest one again: whether it was judged is not known.
        """
        super().on_trial_add(tune_controller, trial)
        bracket = self._bracket_of(trial.config["trial_id"])
        self._trial_info[trial.trial_id] = bracket
        past = self._interrupted.pop(trial.config["trial_id"], None)
        if past is not None and past.epochs:
            latest = max(past.epochs)
            self._replay(trial, bracket, {e: v for e, v in past.epochs.items() if e < latest})

    def _bracket_of(self, trial_id: str) -> Any:
        """A bracket with the odds that Tune gives it, drawn by the trial's number."""
        odds = np.exp([float(len(bracket._rungs)) for bracket in self._brackets])
        generator = np.random.default_rng((self._seed, int(trial_id)))
        return self._brackets[generator.choice(len(self._brackets), p=odds / odds.sum())]

    def _replay(self, trial: Any, bracket: Any, values: dict[int, float]) -> None:
        """Put what is known of a trial on the rungs, as `bracket.on_result` would.

        That also asks whether to stop it, by a percentile over the whole rung each time.
        """
        for epoch, value in sorted(values.items()):
            for milestone, recorded in bracket._rungs:
                if epoch >= milestone and trial.trial_id not in recorded:
                    recorded[trial.trial_id] = value if self._mode == "max" else -value
                    break

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision != TrialScheduler.STOP:
            return decision
        if result["epoch"] >= self._epochs:
            return str(TrialScheduler.CONTINUE)
        self.stopped.add(trial.trial_id)
        return decision


class RecordingMedian(MedianStoppingRule):
    """Stops a trial whose best is worse than the median of the others' means so far.

    Golovin et al. 2017, "Google Vizier", section 3.2.1. Nobody is stopped before three others
    have come as far.

    Args:
        mode: max or min.
        grace: nobody is stopped before, in epochs.
        epochs: planned length of every trial.
        past: trials of an earlier run; their epochs count.
    """

    def __init__(self, mode: str, grace: int, epochs: int, past: Sequence[PastTrial] = ()) -> None:
        super().__init__(time_attr="epoch", metric=VALUE, mode=mode, grace_period=grace)
        # Tune would pause trials until there is enough to compare with; ours need not wait.
        self._last_pause = defaultdict(lambda: math.inf)
        self.stopped: set[str] = set()
        self._epochs = epochs
        self._interrupted = {trial.trial_id: trial for trial in past if trial.goes_on}
        for trial in past:
            if not trial.goes_on and trial.epochs:
                self._results[trial.trial_id] = _results(trial.epochs.items())

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        super().on_trial_add(tune_controller, trial)
        past = self._interrupted.pop(trial.config["trial_id"], None)
        if past is not None and past.epochs:
            latest = max(past.epochs)
            earlier = [(e, v) for e, v in past.epochs.items() if e < latest]
            if earlier:
                self._results[trial] = _results(earlier)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        epoch = result.get("epoch", 0)
        known = {before["epoch"] for before in self._results.get(trial, ())}
        if epoch >= self._epochs or epoch in known:  # a retry reports epochs again
            return str(TrialScheduler.CONTINUE)
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP:
            self.stopped.add(trial.trial_id)
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A failure's last result has no epoch: it teaches nothing."""
        if VALUE in result:
            super().on_trial_complete(tune_controller, trial, result)


def _results(epochs: Iterable[tuple[int, float]]) -> list[dict[str, Any]]:
    return [{"epoch": epoch, VALUE: value} for epoch, value in sorted(epochs)]


StudyScheduler = RecordingFIFO | RecordingASHA | RecordingMedian
