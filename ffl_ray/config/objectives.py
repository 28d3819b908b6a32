"""What a training, or a search, is judged by: `MEMBER.METRIC`, and its better direction.

The metrics are those of the members table. Members are fused, ensemble, branch0, branch1 (a
network has two branches at least), best_branch, mean_branch, pcl's mean_teacher0 and okdph's
averaged; and, of any method, `deployed`, what its authors ship, and `whole`, all of its network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal, NamedTuple

Row = Mapping[str, Any]
VALUE = "objective_value"

MAXIMISED = ("accuracy", "top5")
MINIMISED = ("nll", "ece")
COSTS = {"macs": "macs", "params": "parameters", "latency_ms": "latency_ms"}
ROLES = ("deployed", "whole")
SINGLE = {"branch0", "ensemble"}  # members of a network of one branch
MEMBERS = (
    *("fused", "ensemble", "best_branch", "mean_branch", "branch0", "branch1"),
    *("mean_teacher0", "averaged"),
    *ROLES,
)


class Objective(NamedTuple):
    """One thing to maximise or minimise.

    Attributes:
        name: as it is written, such as fused.accuracy.
        member: one of `MEMBERS`.
        metric: a column of the members table.
        maximised: whether more is better.
    """

    name: str
    member: str
    metric: str
    maximised: bool

    @property
    def is_cost(self) -> bool:
        """Whether it says what a member costs, not how good it is."""
        return self.metric in COSTS.values()

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Maximize or minimize, Optuna's words."""
        return "maximize" if self.maximised else "minimize"

    def score(self, value: float) -> float:
        """The value, turned so that more is better."""
        return value if self.maximised else -value

    def value(self, members: Iterable[Row]) -> float:
        """The objective of a training with these member rows.

        best_branch is the branch of the best value (for a cost: of the best accuracy),
        mean_branch the mean over the branches. deployed is the mean over the members of that
        role: where any branch may be shipped, the best one's luck does not count.

        Raises:
            KeyError: no row of this member.
        """
        found = self.rows(members)
        if self.member == "best_branch":
            return float(max(found, key=self._rank)[self.metric])
        return fmean(float(row[self.metric]) for row in found)

    def rows(self, members: Iterable[Row]) -> list[Row]:
        """The rows of the members that it is of: of best_branch and mean_branch all branches.

        A network of a single branch is one classifier, and is judged by it whatever the member.

        Raises:
            KeyError: there is none.
        """
        if self.member in ROLES:
            return rows_of_role(members, self.member)
        rows = list(members)
        kind = "branch" if self.member in ("best_branch", "mean_branch") else None
        found = [
            row
            for row in rows
            if row["member"] == self.member or (kind and row["member"].startswith(kind))
        ]
        if not found and {row["member"] for row in rows} == SINGLE:
            found = [row for row in rows if row["member"] == "branch0"]
        if not found:
            raise KeyError(self.member)
        return found

    def _rank(self, row: Row) -> float:
        return float(row["accuracy"]) if self.is_cost else self.score(float(row[self.metric]))


def rows_of_role(members: Iterable[Row], role: str) -> list[Row]:
    """The rows of a training's members that have a role; what is shipped may be the whole.

    Raises:
        KeyError: there is none.
    """
    by_role: dict[str | None, list[Row]] = {}
    for row in members:
        by_role.setdefault(row.get("role"), []).append(row)
    return by_role.get(role) or by_role["deployed"]


def parse_objective(name: str, member: str = "fused") -> Objective:
    """An objective from its name.

    Args:
        member: whose cost is meant by a bare params, macs or latency_ms.

    Raises:
        ValueError: the name is not MEMBER.METRIC of a known member and metric.
    """
    given, dot, metric = name.strip().removeprefix("val.").rpartition(".")
    owner = given if dot else member
    known = (*MAXIMISED, *MINIMISED, *COSTS)
    if metric not in known or owner not in MEMBERS or (not dot and metric not in COSTS):
        raise ValueError(
            f"must be MEMBER.METRIC with a member of {', '.join(MEMBERS)} and a metric of "
            f"{', '.join(known)} (a cost alone is that of the first objective's member)"
        )
    column = COSTS.get(metric, metric)
    return Objective(f"{owner}.{metric}", owner, column, metric in MAXIMISED)


def parse_objectives(names: Sequence[str]) -> tuple[Objective, ...]:
    """The objectives of a search, in order.

    Raises:
        ValueError: a name is unknown, one stands twice, or none is a validation metric.
    """
    objectives: list[Objective] = []
    for name in names:
        member = objectives[0].member if objectives else "fused"
        objectives.append(parse_objective(name, member))
    found = [objective.name for objective in objectives]
    if len(set(found)) < len(found):
        raise ValueError("must not name an objective twice")
    if objectives and all(objective.is_cost for objective in objectives):
        raise ValueError("must hold a validation metric: by costs alone the smallest network wins")
    return tuple(objectives)


def quality(objectives: Sequence[Objective]) -> Objective:
    """The first that is a validation metric: what trials are pruned by."""
    return next(objective for objective in objectives if not objective.is_cost)


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether scores are nowhere worse and somewhere better than others; more is better."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)
