"""The scheduler of a study: a stopping rule behind Tune's interface, which knows earlier trials.

Tune ends a trial in the same way when a scheduler stops it, when time runs out and when a person
interrupts; `stopped` tells the first from the others. A trial that has done all its planned
epochs is left to end by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from ffl_ray.config.objectives import VALUE, Objective
from ffl_ray.config.settings import SearchConfig
from ffl_ray.orchestration.judge import NO_AUDITS, Audits, Judge
from ffl_ray.orchestration.stopping_rules import StoppingRule, stopping_rule
from ffl_ray.results.columns import AUDITED
from ffl_ray.results.history import PastTrial

CONTINUE, STOP = str(TrialScheduler.CONTINUE), str(TrialScheduler.STOP)


def make_scheduler(
    search: SearchConfig,
    objective: Objective,
    epochs: int,
    past: Sequence[PastTrial] = (),
    objectives: Sequence[Objective] = (),
    apart: Collection[str] = (),
    spent_s: Mapping[str, Mapping[int, float]] = MappingProxyType({}),
) -> StudyScheduler:
    """The study's scheduler.

    Args:
        objective: what trials are judged by.
        epochs: planned length of every trial.
        past: trials of an earlier run; their epochs count.
        objectives: of the search; with the costs among them trials are judged by domination.
        apart: trials that are neither stopped nor held against others.
        spent_s: accelerator-seconds of the earlier trials until each epoch.
    """
    rule = stopping_rule(search, objective, epochs)
    return StudyScheduler(rule, epochs, past, objectives, Audits.of(search), apart, spent_s)


class StudyScheduler(FIFOScheduler):
    """Tune's trials in their order, stopped as a rule says; without one nobody is.

    Args:
        rule: judges every epoch but a trial's last.
        epochs: planned length of every trial.
        past: trials of an earlier run.
        objectives: of the search; the costs among them are judged too.
        audits: which trials are finished though the rule would stop them.
        apart: trials that are neither stopped nor held against others.
        spent_s: accelerator-seconds of the earlier trials until each epoch.

    Attributes:
        stopped: Tune's ids of the trials that the rule stopped.
    """

    def __init__(
        self,
        rule: StoppingRule | None = None,
        epochs: int = 0,
        past: Sequence[PastTrial] = (),
        objectives: Sequence[Objective] = (),
        audits: Audits = NO_AUDITS,
        apart: Collection[str] = (),
        spent_s: Mapping[str, Mapping[int, float]] = MappingProxyType({}),
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stopped: set[str] = set()
        self._judge = Judge(rule, epochs, audits, apart)
        self._spent_s = spent_s
        self._judge.know_audited({t.trial_id: t.audited for t in past if t.audited is not None})
        self._interrupted = {trial.trial_id: trial for trial in past if trial.goes_on}
        self._costs = [(i, one) for i, one in enumerate(objectives) if one.is_cost]
        for trial in past:
            if trial.values:
                self._judge.know(trial.trial_id, tuple(trial.values[i] for i, _ in self._costs))
            if not trial.goes_on:
                self._remember(trial.trial_id, trial.epochs)

    def audited(self, trial_id: str) -> dict[str, int]:
        """The column of a trial that the rule would have stopped; none of another one."""
        found = self._judge.audited.get(trial_id)
        return {} if found is None else {AUDITED: found}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial begins; of one that goes on, all epochs but the latest have been judged.

        The worker reports the latest one again: whether it was judged is not known.
        """
        past = self._interrupted.pop(trial.config["trial_id"], None)
        if past is not None and past.epochs:
            latest = max(past.epochs)
            judged = {epoch: value for epoch, value in past.epochs.items() if epoch < latest}
            self._remember(past.trial_id, judged)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        self._know(trial, result)
        if not _has_epoch(result) or self._judge.lets_pass(
            trial.config["trial_id"], result["epoch"], result[VALUE], _spent_s(result)
        ):
            return CONTINUE
        self.stopped.add(trial.trial_id)
        return STOP

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A trial ends; a failure's last result has no epoch and teaches nothing."""
        self._know(trial, result)
        if _has_epoch(result):
            self._judge.remember(
                trial.config["trial_id"], result["epoch"], result[VALUE], _spent_s(result)
            )

    def _know(self, trial: Trial, result: dict[str, Any]) -> None:
        """What a trial costs, by its members."""
        members = result["report"].members if self._costs and result.get("report") else ()
        if members:
            costs = tuple(cost.value(members) for _, cost in self._costs)
            self._judge.know(trial.config["trial_id"], costs)

    def _remember(self, trial_id: str, values: dict[int, float]) -> None:
        spent_s = self._spent_s.get(trial_id, {})
        for epoch, value in sorted(values.items()):
            self._judge.remember(trial_id, epoch, value, spent_s.get(epoch, 0.0))


def _spent_s(result: dict[str, Any]) -> float:
    """Accelerator-seconds that a trial took until this result."""
    report = result.get("report")
    return float(report.row["accelerator_s"]) if report and report.row else 0.0


def _has_epoch(result: dict[str, Any]) -> bool:
    return "epoch" in result and VALUE in result
