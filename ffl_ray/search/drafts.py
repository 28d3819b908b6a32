"""Drafts: a sampler is asked again until a point keeps what is known of it before training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from ffl_ray.config.settings import SearchConfig
from ffl_ray.search.optuna_private import copied, fixed_trial
from ffl_ray.search.repeats import REPEATED
from ffl_ray.search.samplers import new_sampler

MOST_DRAFTS = 200
# So many of them are the sampler's, and the others random: a Gaussian process takes half a second.
OWN_DRAFTS = {"gp": 2}
MOST_OWN_DRAFTS = 50
# Of those that were had: a sampler that has settled on a point draws it again and again.
MOST_REPEATS = 10
Params = Mapping[str, Any]


def draft(
    study: optuna.Study,
    search: SearchConfig,
    number: int,
    fixed: Params,
    sampler_at: Callable[[int], BaseSampler],
    violation: Callable[[optuna.Trial], float],
) -> tuple[Params, float]:
    """The first point that a sampler proposes and that keeps every bound, or the nearest to it.

    The study learns of none that breaks one: a copy of it is asked, and told that they failed.

    Args:
        number: of the trial that the point is for.
        fixed: parameters that the sampler does not draw.
        sampler_at: the sampler of an attempt, from 0.
        violation: suggests a trial's point, and says by how much it breaks a bound.

    Returns:
        The point, and by how much it breaks one; 0 or less: it keeps all.
    """
    copy = copied(study)
    found: tuple[Params, float] = {}, float("inf")
    own, repeats = OWN_DRAFTS.get(search.sampler, MOST_OWN_DRAFTS), 0
    at_random = search.model_copy(update={"sampler": "random"})
    for attempt in range(MOST_DRAFTS):
        is_own = attempt < own and repeats < MOST_REPEATS
        copy.sampler = sampler_at(attempt) if is_own else new_sampler(at_random, number, attempt)
        trial = fixed_trial(copy, None, fixed)
        excess = violation(trial)
        if excess < found[1]:
            found = dict(trial.params), excess
        repeats += excess == REPEATED
        if excess <= 0 or trial.params.keys() == fixed.keys():
            break
        copy.tell(trial, state=TrialState.FAIL)
    return found
