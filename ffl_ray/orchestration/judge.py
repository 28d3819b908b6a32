"""The judge of a search's trials: a stopping rule, and the few that are finished to audit it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from ffl_ray.config.objectives import Objective
from ffl_ray.config.settings import SearchConfig
from ffl_ray.orchestration.stopping_rules import Costs, StoppingRule, stopping_rule

AUDIT_STREAM = 1
TRIALS_AN_AUDIT = 8


class Audits(NamedTuple):
    """Which of the trials that a rule would stop are finished all the same.

    They are drawn one after the other, as if the number of trials that will be stopped were known:
    each with the odds of what is left to be audited over what is left to be stopped (selection
    sampling, Fan et al. 1962, JASA 57, 387). So nearly every search has as many as it asks for,
    where even odds would leave one in six with none.

    Attributes:
        seed: of the search; whether a trial is drawn follows from it, the trial's number and how
            many have been.
        most: how many.
        trials: of the search.
        stopped: the share of them that the rule is expected to stop.
    """

    seed: int
    most: int
    trials: int
    stopped: float

    @classmethod
    def of(cls, search: SearchConfig) -> Audits:
        """Those of a search."""
        most = min(search.audit_trials, search.num_samples // TRIALS_AN_AUDIT)
        return cls(search.seed, most, search.num_samples, 1 - 1 / search.reduction_factor)

    def draw(self, trial_id: str, audited: int) -> bool:
        """Whether a trial is finished, when so many have been already."""
        if audited >= self.most:
            return False
        left = 1 + max(0, self.trials - 1 - int(trial_id)) * self.stopped
        generator = np.random.default_rng((self.seed, int(trial_id), AUDIT_STREAM))
        return bool(generator.random() < (self.most - audited) / left)


NO_AUDITS = Audits(0, 0, 0, 0.0)


class Judge:
    """A stopping rule over trainings of a known length; without one nobody is stopped.

    Args:
        rule: judges every epoch but a trial's last, with which it ends by itself.
        epochs: planned length of every trial.
        audits: which trials are finished though the rule would stop them.
        apart: trials that are neither stopped nor held against others: no points of the space.

    Attributes:
        audited: these trials, each with the epoch after which it would have been stopped.
    """

    def __init__(
        self,
        rule: StoppingRule | None,
        epochs: int,
        audits: Audits = NO_AUDITS,
        apart: Collection[str] = (),
    ) -> None:
        self._rule = rule
        self._apart = apart
        self._epochs = epochs
        self._audits = audits
        self.audited: dict[str, int] = {}

    @classmethod
    def of(cls, search: SearchConfig, objective: Objective, epochs: int) -> Judge:
        """The judge of a search."""
        return cls(stopping_rule(search, objective, epochs), epochs, Audits.of(search))

    def know_audited(self, audited: Mapping[str, int]) -> None:
        """Trials that were audited in an earlier run."""
        self.audited |= audited

    def lets_pass(self, trial_id: str, epoch: int, value: float, spent_s: float = 0.0) -> bool:
        """Whether a trial goes on after this epoch, until which it took so many seconds."""
        if self._rule is None or trial_id in self._apart or epoch >= self._epochs:
            return True
        if self._rule.lets_pass(trial_id, epoch, value, spent_s) or trial_id in self.audited:
            return True
        if not self._audits.draw(trial_id, len(self.audited)):
            return False
        self.audited[trial_id] = epoch
        return True

    def know(self, trial_id: str, costs: Costs) -> None:
        """What a trial costs, if that is searched for too."""
        if self._rule is not None and trial_id not in self._apart:
            self._rule.know(trial_id, costs)

    def remember(self, trial_id: str, epoch: int, value: float, spent_s: float = 0.0) -> None:
        """An epoch that was judged before, or is the last."""
        if self._rule is not None and trial_id not in self._apart:
            self._rule.remember(trial_id, epoch, value, spent_s)
