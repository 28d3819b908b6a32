"""The plain baseline of a search held against what it found: one backbone alone, equal seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ffl_ray.config.objectives import Objective, quality
from ffl_ray.results.best import MembersOf, latest_members, ranked, standard_error
from ffl_ray.results.columns import BASELINE, PLAIN
from ffl_ray.results.sampler_state import keeps_constraints

Row = Mapping[str, Any]


class HeldAgainst(NamedTuple):
    """The plain baseline and the best of what was searched.

    Attributes:
        plain: row of the trials table.
        best: likewise, of the trial with the best value, the defaults among them.
        others: how many completed trials that one is the best of.
        objective: the first that is no cost.
        values: of it, the plain baseline's and the best one's.
        error: one standard error of the better value, from its validation images; 0: not known.
    """

    plain: Row
    best: Row
    others: int
    objective: Objective
    values: tuple[float, float]
    error: float

    @property
    def says(self) -> Literal["plain", "neither", "searched"]:
        """Which is better by more than one standard error."""
        ahead = self.objective.score(self.values[0]) - self.objective.score(self.values[1])
        if abs(ahead) <= self.error:
            return "neither"
        return "plain" if ahead > 0 else "searched"

    @property
    def verdict(self) -> str:
        """Which is better, in a sentence without its end."""
        plain, best = self.plain["trial_id"], self.best["trial_id"]
        name = f"{self.plain['model.mix']} alone (trial {plain})"
        return {
            "plain": f"the plain baseline wins: {name} beats trial {best}, the best of the others",
            "neither": f"the search has nothing that is told from the plain baseline, {name}: its "
            f"best value is trial {best}'s",
            "searched": f"trial {best} beats the plain baseline, {name}",
        }[self.says]

    @property
    def words(self) -> str:
        """The verdict with its numbers, and what they are worth."""
        metric, (own, theirs) = self.objective.metric, self.values
        error = f"one standard error {self.error:.4f}" if self.error else "one training each"
        return (
            f"{self.verdict}; {metric} {own:.4f} against {theirs:.4f}, {error}"
            f"{_seconds(self.plain, self.best)}. The best of {self.others} reads too high, and "
            f"python -m ffl_ray.confirm says which difference is real"
        )


def _seconds(plain: Row, best: Row) -> str:
    spent = [row.get("accelerator_s") for row in (plain, best)]
    if None in spent:
        return ""
    return f", {spent[0]:.0f} s of training against {spent[1]:.0f} s"


def held_against_plain(
    rows: Iterable[Row], objectives: Sequence[Objective], members_of: MembersOf
) -> HeldAgainst | None:
    """The plain baseline held against the best completed trial; None until both are there.

    None as well where it breaks a constraint that the best one keeps.

    Args:
        rows: of the trials table.
        objectives: of the search.
        members_of: the member rows of a trial.
    """
    objective = quality(objectives)
    place = list(objectives).index(objective)
    order = ranked([{**row, "objective_values": _one(row, place)} for row in rows], [objective])
    plain = next((row for row in order if row.get(BASELINE) == PLAIN), None)
    others = [row for row in order if row.get(BASELINE) != PLAIN]
    if plain is None or not others or keeps_constraints(others[0]) > keeps_constraints(plain):
        return None
    better, values = order[0], (plain["objective_values"][0], others[0]["objective_values"][0])
    members = latest_members(members_of, better["trial_id"])
    error = standard_error(better["objective_values"][0], objective, members) if members else 0.0
    return HeldAgainst(plain, others[0], len(others), objective, values, error)


def _one(row: Row, place: int) -> list[float]:
    values = row.get("objective_values")
    return [float(values[place])] if values else []
