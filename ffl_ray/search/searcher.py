"""Optuna behind Ray Tune: what to try next, and the truth about what became of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import TrialState
from ray.tune.search import Searcher

from ffl_ray.config import Config, SearchConfig
from ffl_ray.search.space import SearchSpace, trial_config

PLANNED_EPOCHS = "epochs_planned"


def new_optuna_study(search: SearchConfig) -> optuna.Study:
    """An in-memory study with a seeded TPE sampler, to be maximised."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(
        seed=search.seed, n_startup_trials=search.startup_trials, constant_liar=True
    )
    return optuna.create_study(direction="maximize", sampler=sampler)


class StudySearcher(Searcher):
    """Tune's searcher over an Optuna study of one objective.

    Ray's own OptunaSearch tells Optuna that a trial which a scheduler stopped is complete, with
    the value of its last epoch. Here a trial is COMPLETE only when its planned epochs are done;
    one stopped before is PRUNED, with every intermediate value; one without a finite value, or
    with an error, has failed.

    Args:
        space: proposes settings, on top of `base`.
        study: the live study; the caller keeps it and may read it at any time.
        metric: name of the objective in a trial's results.
        make_job: from a trial's id and config to what Tune's function is given.
    """

    def __init__(
        self,
        space: SearchSpace,
        base: Config,
        study: optuna.Study,
        *,
        metric: str,
        make_job: Callable[[str, Config], dict[str, Any]],
    ) -> None:
        super().__init__(metric=metric, mode="max")
        self.study = study
        self._space = space
        self._base = base
        self._make_job = make_job
        self._asked: dict[str, optuna.Trial] = {}
        self._reported: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """The next trial's job; the id in it is its number in the study."""
        trial = self.study.ask()
        config = trial_config(self._space, self._base, trial)
        trial.set_user_attr(PLANNED_EPOCHS, config.optim.epochs)
        self._asked[trial_id] = trial
        self._reported[trial_id] = 0
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
        planned = trial.user_attrs[PLANNED_EPOCHS]
        value = result.get(self.metric)
        if error or value is None or not math.isfinite(value):
            self.study.tell(trial, state=TrialState.FAIL)
        elif result["epoch"] < planned:
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
