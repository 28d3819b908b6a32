"""A search as an Optuna study whose parameters can be compared over all trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from ffl_ray.report.source import Study
from ffl_ray.results.guard import check_numbers
from ffl_ray.results.history import STATES, distributions_of
from ffl_ray.results.reader import records
from ffl_ray.results.schema import params_of
from ffl_ray.search.distributions import gathered, widest
from ffl_ray.search.mix import PREFIX

USED = ["trial_id", "status", "params", "distributions", "objective_values"]
Distributions = dict[str, BaseDistribution]


def comparable_study(study: Study) -> optuna.Study:
    """The search for Optuna's plots.

    Optuna compares only parameters that have the same range in every trial: a range that depends
    on other parameters is widened to what it was over all trials. The count of the last backbone
    follows from the others and is left out, as are parameters that had no choice.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(directions=[goal.direction for goal in study.objectives])
    rows = records(study.trials[USED])
    check_numbers(row["trial_id"] for row in rows)
    found = gathered(_distributions(row) for row in rows)
    kinds = _compared({name: widest(kinds) for name, kinds in found.items()})
    epochs = _values_by_epoch(study) if len(study.objectives) == 1 else {}
    added = 0
    for row in rows:
        for _ in range(int(row["trial_id"]) - added):
            made.add_trial(create_trial(state=TrialState.RUNNING))
        made.add_trial(_frozen(row, kinds, epochs.get(row["trial_id"], {})))
        added = int(row["trial_id"]) + 1
    return made


def _compared(kinds: Distributions) -> Distributions:
    counts = sorted(name for name in kinds if name.startswith(PREFIX))
    follows = counts[-1:]
    return {n: kind for n, kind in kinds.items() if n not in follows and not kind.single()}


def _distributions(row: Mapping[str, Any]) -> Distributions:
    return distributions_of(row["distributions"] or "{}")


def _values_by_epoch(study: Study) -> dict[str, dict[int, float]]:
    known = study.epochs.dropna(subset=["objective_value"])
    return {
        str(trial_id): dict(zip(group["epoch"], group["objective_value"], strict=True))
        for trial_id, group in known.groupby("trial_id")
    }


def _frozen(row: Mapping[str, Any], kinds: Distributions, epochs: dict[int, float]) -> FrozenTrial:
    state = STATES[row["status"]]
    params = {n: v for n, v in params_of(row["params"] or "{}").items() if n in kinds}
    return create_trial(
        state=state,
        values=row["objective_values"] if state == TrialState.COMPLETE else None,
        params=params,
        distributions={name: kinds[name] for name in params},
        intermediate_values=epochs,
    )
