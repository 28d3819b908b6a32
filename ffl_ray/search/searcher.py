"""Optuna behind Ray Tune: what to try next, and the truth about what became of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import TrialState
from ray.tune.search import Searcher

from ffl_ray.config import Config, SearchConfig
from ffl_ray.search.history import PastTrial
from ffl_ray.search.space import SearchSpace, trial_config


def new_optuna_study(past: Iterable[PastTrial] = ()) -> optuna.Study:
    """An in-memory study to be maximised, made again from the trials that the tables hold."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for trial in past:
        while len(study.get_trials(deepcopy=False)) < int(trial.trial_id):
            # Proposed, but killed before it was started: nothing is known of it.
            study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
        study.add_trial(trial.frozen())
    return study


def new_sampler(search: SearchConfig, number: int) -> optuna.samplers.TPESampler:
    """TPE for one proposal, with a random stream of its own.

    What is proposed depends on the seed, the trial's number and what is known of the others, not
    on how often the study was stopped and continued.
    """
    return optuna.samplers.TPESampler(
        seed=(search.seed * 100_003 + number) % 2**32,
        n_startup_trials=search.startup_trials,
        constant_liar=True,
    )


class StudySearcher(Searcher):
    """Tune's searcher over an Optuna study of one objective.

    Ray's own OptunaSearch tells Optuna that a trial which a scheduler stopped is complete, with
    the value of its last epoch. Here a trial is COMPLETE only when its planned epochs are done;
    one stopped before is PRUNED, with every intermediate value; one without a finite value, or
    with an error, has failed.

    Args:
        space: proposes settings, on top of `base`.
        search: seed and settings of the sampler.
        past: trials of an earlier run; the interrupted ones go on before new ones start.
        metric: name of the objective in a trial's results.
        make_job: from a trial's id and config to what Tune's function is given.
    """

    def __init__(
        self,
        space: SearchSpace,
        base: Config,
        search: SearchConfig,
        *,
        metric: str,
        make_job: Callable[[str, Config], dict[str, Any]],
        past: Sequence[PastTrial] = (),
    ) -> None:
        super().__init__(metric=metric, mode="max")
        self.study = new_optuna_study(past)
        self._search = search
        self._waiting = [trial for trial in past if trial.goes_on]
        self._space = space
        self._base = base
        self._make_job = make_job
        self._asked: dict[str, optuna.Trial] = {}
        self._planned: dict[str, int] = {}
        self._reported: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """The next trial's job; the id in it is its number in the study."""
        if self._waiting:
            past = self._waiting.pop(0)
            trial, config = optuna.Trial(self.study, int(past.trial_id)), past.config
        else:
            self.study.sampler = new_sampler(self._search, len(self.study.trials))
            trial = self.study.ask()
            config = trial_config(self._space, self._base, trial)
        self._asked[trial_id] = trial
        self._planned[trial_id] = config.optim.epochs
        self._reported[trial_id] = max(
            self.study.trials[trial.number].intermediate_values, default=0
        )
        return self._make_job(f"{trial.number:05d}", config)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass on the objective of a finished epoch; an epoch that a retry repeats is known."""
        value, epoch = result.get(self.metric), result.get("epoch", 0)
        if value is None or not math.isfinite(value) or epoch <= self._reported[trial_id]:
            return
        self._asked[trial_id].report(value, step=epoch)
        self._reported[trial_id] = epoch

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell how a trial ended: COMPLETE, PRUNED or FAIL.

        Tune does not pass the result at which a scheduler stops to `on_trial_result`.
        """
        result = result or {}
        self.on_trial_result(trial_id, result)
        trial = self._asked.pop(trial_id)
        value = result.get(self.metric)
        if error or value is None or not math.isfinite(value):
            self.study.tell(trial, state=TrialState.FAIL)
        elif result["epoch"] < self._planned[trial_id]:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, values=value)

    def parameters(self, number: int) -> tuple[str, str]:
        """A trial's Optuna parameters and distributions, each as JSON."""
        trial = self.study.trials[number]
        distributions = {
            name: json.loads(distribution_to_json(distribution))
            for name, distribution in trial.distributions.items()
        }
        return json.dumps(trial.params), json.dumps(distributions)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the tables hold everything from which the study is made again."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as `save`."""
