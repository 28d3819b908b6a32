"""The trial of a search that is called best: the cheapest within one standard error of the top."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ffl_ray.config.objectives import MAXIMISED, Objective, dominates
from ffl_ray.results.sampler_state import keeps_constraints

Row = Mapping[str, Any]
AnyRow = TypeVar("AnyRow", bound=Mapping[str, Any])
MembersOf = Callable[[str], Sequence[Row]]


class Best(NamedTuple):
    """The trial that is called best, and why.

    Attributes:
        trial_id: of it.
        macs: multiply-accumulates of the member that the objective is of.
        top_id: the trial with the best value, from which it can't be told apart.
        top_macs: of that one.
        error: one standard error of the best value, from its validation images.
    """

    trial_id: str
    macs: float
    top_id: str
    top_macs: float
    error: float

    @property
    def is_cheaper(self) -> bool:
        """Whether another trial has a better value."""
        return self.trial_id != self.top_id


def ranked(rows: Iterable[AnyRow], objectives: Sequence[Objective]) -> list[AnyRow]:
    """The completed trials, best first; behind them those that break a constraint.

    Of several objectives: first those that fewest others dominate (the front: none), then by the
    first objective.
    """
    completed = [row for row in rows if row["status"] == "completed" and row["objective_values"]]
    scores = [
        [o.score(v) for o, v in zip(objectives, row["objective_values"], strict=True)]
        for row in completed
    ]
    several = len(objectives) > 1  # by a single one the order is that of its values
    beaten = [several and sum(dominates(other, mine) for other in scores) for mine in scores]
    breaks = [not keeps_constraints(row) for row in completed]
    order = sorted(
        range(len(completed)), key=lambda i: (breaks[i], beaten[i], [-s for s in scores[i]])
    )
    return [completed[i] for i in order]


def called_best(
    ranked: Sequence[Row], objectives: Sequence[Objective], members_of: MembersOf
) -> Best | None:
    """The cheapest of the trials whose value lies within one standard error of the best one's.

    The rule of Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3. A share
    p of n images has the standard error sqrt(p (1 - p) / n); of other metrics none is known, and
    the best value wins. A trial that breaks a constraint is called best only where all do.

    Args:
        ranked: the completed trials, best first.
        objectives: of the search; several have a front and no best.
        members_of: the member rows of a trial.
    """
    if not ranked or len(objectives) > 1:
        return None
    top, (objective,) = ranked[0], objectives
    members = latest_members(members_of, top["trial_id"])
    if not members:
        return None
    value = top["objective_values"][0]
    error = standard_error(value, objective, members)
    least = objective.score(value) - error
    near = [
        row
        for row in ranked
        if objective.score(row["objective_values"][0]) >= least
        and keeps_constraints(row) == keeps_constraints(top)
    ]
    cost = Objective(f"{objective.member}.macs", objective.member, "macs", maximised=False)
    ids = [row["trial_id"] for row in near]
    macs = {name: _cost(cost, latest_members(members_of, name)) for name in ids}
    cheapest = min(ids, key=macs.__getitem__)
    return Best(cheapest, macs[cheapest], top["trial_id"], macs[top["trial_id"]], error)


def latest_members(members_of: MembersOf, trial_id: str) -> list[Row]:
    """The member rows of a trial after its last epoch."""
    return [row for row in members_of(trial_id) if row["checkpoint"] == "latest"]


def _cost(cost: Objective, members: Sequence[Row]) -> float:
    return cost.value(members) if members else math.inf


def standard_error(value: float, objective: Objective, members: Sequence[Row]) -> float:
    """The standard error of an objective's value over validation images; 0: none is known.

    Args:
        members: of the trial, whose rows say how many images there were.
    """
    images = objective.rows(members)[0].get("images")
    if objective.metric not in MAXIMISED or not images:
        return 0.0
    return math.sqrt(max(0.0, value * (1 - value)) / images)
