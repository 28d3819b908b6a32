"""The trial of a search that is called best: the cheapest within one standard error of the top."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple, TypeVar

from ffl_ray.config.objectives import MAXIMISED, Objective, dominates
from ffl_ray.config.overrides import settings
from ffl_ray.config.settings import Config
from ffl_ray.results.sampler_state import keeps_constraints

Row = Mapping[str, Any]
AnyRow = TypeVar("AnyRow", bound=Mapping[str, Any])
MembersOf = Callable[[str], Sequence[Row]]
SEEDS = "seeds"  # no column
BUT_SEED = [one.name for one in settings(Config) if one.name != "seed"]


class Best(NamedTuple):
    """The trial that is called best, and why.

    Attributes:
        trial_id: of it.
        macs: multiply-accumulates of the member that the objective is of.
        top_id: the trial with the best value, from which it can't be told apart.
        top_macs: of that one.
        error: one standard error of the best value, from its validation images.
        seeds: trials of its config, whose mean value counts.
        of: seeds that its config was begun with, those that were stopped or failed among them.
    """

    trial_id: str
    macs: float
    top_id: str
    top_macs: float
    error: float
    seeds: int = 1
    of: int = 1

    @property
    def is_cheaper(self) -> bool:
        """Whether another trial has a better value."""
        return self.trial_id != self.top_id

    @property
    def why(self) -> str:
        """Why it and no trial with a better value of its own, in words; empty where none has."""
        counted = f"{self.seeds} of {self.of}" if self.of > self.seeds else f"{self.seeds}"
        mean = f" by {'the mean over ' * (self.seeds > 1)}{counted} seeds"
        mean = mean if max(self.seeds, self.of) > 1 else ""
        if not self.is_cheaper:
            return f"{self.trial_id} is called best{mean}" if mean else ""
        return (
            f"{self.trial_id} is called best{mean}: within one standard error ({self.error:.4f}) "
            f"of {self.top_id}, at {self.macs:,.0f} MACs and not {self.top_macs:,.0f}"
        )


def members_by_trial(rows: Iterable[Row]) -> MembersOf:
    """What gives the rows of a members table that are a trial's; of an unknown one none."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["trial_id"], []).append(row)
    return lambda trial_id: found.get(trial_id, [])


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
    ranked: Sequence[Row],
    objectives: Sequence[Objective],
    members_of: MembersOf,
    among: Collection[str] | None = None,
    trials: Iterable[Row] = (),
) -> Best | None:
    """The cheapest of the trials whose value lies within one standard error of the best one's.

    The rule of Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3. A share
    p of n images has the standard error sqrt(p (1 - p) / n); of other metrics none is known, and
    the best value wins. A trial that breaks a constraint is called best only where all do. Of
    trials that differ by their seed alone the mean counts, and the best of them stands for all:
    what one seed was lucky with does not choose.

    Args:
        ranked: the completed trials, best first.
        objectives: of the search; several have a front and no best.
        members_of: the member rows of a trial.
        among: ids of the trials that may be called best, whatever trials a mean is of; none: any.
        trials: all of them, by which is said how many seeds of its config have not completed.
    """
    if not ranked or len(objectives) > 1:
        return None
    configs = _by_config(ranked, objectives[0], among)
    members = latest_members(members_of, configs[0]["trial_id"]) if configs else []
    best = _cheapest(configs, objectives[0], members, members_of) if members else None
    return best and best._replace(of=_begun(best, [*ranked, *trials]))


def _begun(best: Best, trials: Sequence[Row]) -> int:
    """With how many seeds the config of a trial was begun."""
    config = next(_config_of(row) for row in trials if row["trial_id"] == best.trial_id)
    return len({row.get("seed") for row in trials if _config_of(row) == config})


def _cheapest(
    configs: Sequence[Row], objective: Objective, members: Sequence[Row], members_of: MembersOf
) -> Best:
    """The cheapest of the configs within one standard error of the first.

    Args:
        members: of the first.
    """
    top = configs[0]
    value = top["objective_values"][0]
    error = standard_error(value, objective, members)
    least = objective.score(value) - error
    near = [
        row
        for row in configs
        if objective.score(row["objective_values"][0]) >= least
        and keeps_constraints(row) == keeps_constraints(top)
    ]
    cost = Objective(f"{objective.member}.macs", objective.member, "macs", maximised=False)
    macs = {
        row["trial_id"]: _cost(cost, latest_members(members_of, row["trial_id"])) for row in near
    }
    row = min(near, key=lambda row: macs[row["trial_id"]])
    best = row["trial_id"]
    return Best(best, macs[best], top["trial_id"], macs[top["trial_id"]], error, row.get(SEEDS, 1))


def _by_config(
    ranked: Sequence[Row], objective: Objective, among: Collection[str] | None
) -> list[Row]:
    """The best trial of each config with the mean value over its seeds, the best mean first."""

    def may(row: Row) -> bool:
        return among is None or row["trial_id"] in among

    if len({row.get("seed") for row in ranked}) < 2:
        return [row for row in ranked if may(row)]
    means = []
    for rows in _configs(ranked):
        mean = fmean(row["objective_values"][0] for row in rows)
        means += [
            {**row, "objective_values": [mean], SEEDS: len(rows)} for row in rows if may(row)
        ][:1]
    return sorted(
        means,
        key=lambda row: (not keeps_constraints(row), -objective.score(row["objective_values"][0])),
    )


def _configs(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each config, whatever their seed."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_config_of(row), []).append(row)
    return list(found.values())


def seeds_of_configs(rows: Iterable[Row]) -> list[int]:
    """With how many seeds each of the configs was trained."""
    return [len({row.get("seed") for row in config}) for config in _configs(rows)]


def _config_of(row: Row) -> str:
    """What is equal for trials that differ by their seed alone."""
    return repr([row.get(name) for name in BUT_SEED])


def of_configs(rows: Sequence[AnyRow], trial_ids: Collection[str]) -> list[AnyRow]:
    """These trials, and those that differ from one of them by their seed alone."""
    some = [row for row in rows if row["trial_id"] in trial_ids]
    if len({row.get("seed") for row in rows}) < 2:
        return some
    configs = {_config_of(row) for row in some}
    return [row for row in rows if _config_of(row) in configs]


def latest_members(members_of: MembersOf, trial_id: str) -> list[Row]:
    """The member rows of a trial after its last epoch."""
    return [row for row in members_of(trial_id) if row["checkpoint"] == "latest"]


def _cost(cost: Objective, members: Sequence[Row]) -> float:
    known = all(row.get(cost.metric) is not None for row in members)
    return cost.value(members) if members and known else math.inf


def standard_error(value: float, objective: Objective, members: Sequence[Row]) -> float:
    """The standard error of an objective's value over validation images; 0: none is known.

    Args:
        members: of the trial, whose rows say how many images there were.
    """
    images = objective.rows(members)[0].get("images")
    if objective.metric not in MAXIMISED or not images:
        return 0.0
    return math.sqrt(max(0.0, value * (1 - value)) / images)
