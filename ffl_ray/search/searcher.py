"""The searcher: what Optuna would try next, and the truth about what became of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from ffl_ray.config.methods import resolved
from ffl_ray.config.objectives import VALUE, Objective
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig, SearchConfig
from ffl_ray.models.registry import check_weights_here
from ffl_ray.results.description import MOVES
from ffl_ray.results.history import PastTrial, new_optuna_study
from ffl_ray.results.sampler_state import plain_state
from ffl_ray.search.mirror import Mirror
from ffl_ray.search.samplers import new_sampler
from ffl_ray.search.space import SearchSpace, trial_config
from ffl_ray.search.warm_start import WarmStart
from ffl_ray.training.session import Report


class StudySearcher:
    """A searcher over an Optuna study of one or several objectives; Ray Tune's is made of it.

    Ray's own OptunaSearch tells Optuna that a trial which a scheduler stopped is complete, with
    the value of its last epoch. Here a trial is COMPLETE only when its planned epochs are done;
    one stopped before is PRUNED, with every intermediate value (of several objectives Optuna
    keeps none, and a pruned trial stays out of the front); one without a finite value, or with
    an error, has failed.

    Args:
        space: proposes settings, on top of `base`.
        search: seed and settings of the sampler.
        objectives: what to search for.
        past: trials of an earlier run; the interrupted ones, and those that were proposed and
            never started, go on before new ones start.
        make_job: from a trial's id and config to what Tune's function is given.
        warm_start: proposes the first trials.
        mirror: is told everything that the study is told.
    """

    def __init__(
        self,
        space: SearchSpace,
        base: Config,
        search: SearchConfig,
        objectives: Sequence[Objective],
        *,
        make_job: Callable[[str, ResolvedConfig], dict[str, Any]],
        past: Sequence[PastTrial] = (),
        warm_start: WarmStart | None = None,
        mirror: Mirror | None = None,
    ) -> None:
        self._storage = InMemoryStorage()
        self.study = new_optuna_study(objectives, past, storage=self._storage)
        self._objectives = tuple(objectives)
        self._search = search
        self._warm_start = warm_start
        self._mirror = mirror
        self._waiting = self._unfinished(past)
        for trial in past:
            if trial.config is not None and not base.model.pretrained:
                check_weights_here(trial.config)
        self._space = space
        self._base = base
        self._make_job = make_job
        self._asked: dict[str, optuna.Trial] = {}
        self._planned: dict[str, int] = {}
        self._reported: dict[str, int] = {}
        if mirror is not None:
            mirror.open(self.study.trials)

    def _unfinished(self, past: Sequence[PastTrial]) -> list[tuple[int, PastTrial | None]]:
        """Numbers that go on, each with what it was; none of those that never started."""
        known = {int(trial.trial_id): trial for trial in past}
        return [
            (number, known.get(number))
            for number in range(len(self.study.get_trials(deepcopy=False)))
            if number not in known or known[number].goes_on
        ]

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """The next trial's job; the id in it is its number in the study."""
        number, past = self._waiting.pop(0) if self._waiting else (None, None)
        if past is not None:
            trial = optuna.Trial(self.study, int(past.trial_id))
            config = resolved(self._where_data_are(past))
        else:
            trial = self._ask(number)
            config = trial_config(self._space, self._base, trial)
        self._asked[trial_id] = trial
        self._planned[trial_id] = config.optim.epochs
        self._reported[trial_id] = max(past.epochs, default=0) if past else 0
        if self._mirror is not None:
            self._mirror.begin(self._known(trial.number))
        return self._make_job(f"{trial.number:05d}", config)

    def _where_data_are(self, past: PastTrial) -> Config:
        """The config of a trial that goes on; its data may have moved meanwhile."""
        assert past.config is not None, "a trial that goes on has one"
        base = flatten(self._base)
        now = {name: base[name] for name in MOVES if name not in past.params}
        return with_overrides(past.config, now)

    def _ask(self, number: int | None) -> optuna.Trial:
        """A new trial, or the one of a number that never started."""
        place = len(self.study.get_trials(deepcopy=False)) if number is None else number
        self.study.sampler = new_sampler(self._search, place)
        if self._warm_start is not None and place < self._search.startup_trials:
            suggest = self._space.suggest
            params = self._warm_start.suggest(suggest, self._search, place)
            self.study.sampler = optuna.samplers.PartialFixedSampler(params, self.study.sampler)
        return self.study.ask() if number is None else optuna.Trial(self.study, number)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass on the objective of a finished epoch; an epoch that a retry repeats is known."""
        value, epoch = result.get(VALUE), result.get("epoch", 0)
        if value is None or not math.isfinite(value) or epoch <= self._reported[trial_id]:
            return
        self._reported[trial_id] = epoch
        if len(self._objectives) > 1:
            return
        trial = self._asked[trial_id]
        trial.report(value, step=epoch)
        if self._mirror is not None:
            self._mirror.report(trial.number, epoch, value)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell how a trial ended: COMPLETE, PRUNED or FAIL.

        Tune does not pass the result at which a scheduler stops to `on_trial_result`.
        """
        result = result or {}
        self.on_trial_result(trial_id, result)
        trial = self._asked.pop(trial_id)
        values = self._values(result)
        if error or not values:
            self.study.tell(trial, state=TrialState.FAIL)
        elif result["epoch"] < self._planned[trial_id]:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, values=values)
        if self._mirror is not None:
            self._mirror.end(self._known(trial.number))

    def _values(self, result: dict[str, Any]) -> list[float]:
        """The objectives after the latest epoch, if all are numbers; else nothing."""
        report: Report | None = result.get("report")
        if report is None:
            return []
        values = [objective.value(report.members) for objective in self._objectives]
        return values if all(math.isfinite(value) for value in values) else []

    def optuna_columns(self, number: int) -> dict[str, str]:
        """A trial's parameters, distributions and sampler's state: columns, each as JSON."""
        trial = self._known(number)
        state = plain_state({"trial": trial.system_attrs, "study": self._study_state()})
        return drawn_columns(trial) | {"sampler_state": json.dumps(state)}

    def _known(self, number: int) -> FrozenTrial:
        """A trial as Optuna has it, to read: `study.trials` copies every trial of the study."""
        return self.study.get_trials(deepcopy=False)[number]

    def _study_state(self) -> dict[str, Any]:
        """The latest attribute that the sampler gave the study: NSGA-II's parents."""
        study_id = self._storage.get_study_id_from_name(self.study.study_name)
        attributes = self._storage.get_study_system_attrs(study_id)
        return dict(list(attributes.items())[-1:])


def drawn_columns(trial: FrozenTrial) -> dict[str, str]:
    """A trial's drawn parameters and their distributions: columns of its row, each as JSON."""
    distributions = {
        name: json.loads(distribution_to_json(distribution))
        for name, distribution in trial.distributions.items()
    }
    return {"params": json.dumps(trial.params), "distributions": json.dumps(distributions)}
