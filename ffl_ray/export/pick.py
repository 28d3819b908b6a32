"""The picks of a classifier to export: pure functions over rows of a study's tables.

A candidate is a member of a completed trial with the numbers of its last checkpoint, as report and
confirm read them; in a study of the version before, which kept the best one, with those of that.

- `best`: the trial that its search calls best (of several objectives: the best by the first
  validation metric), of those that keep its constraints, and the member that the objective
  names; best_branch and mean_branch name the best branch, and deployed the best of those that may
  be shipped.
- `knee`: at the knee of the front of accuracy against multiply-accumulates (`pareto.knee`), or
  its cheap end where it has none.
- a limit of multiply-accumulates: the most accurate within it.

Equal accuracies are told apart by fewer multiply-accumulates, then by trial and member.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ffl_ray.config.objectives import Objective, parse_objectives, quality
from ffl_ray.errors import StudyError
from ffl_ray.results import pareto

Row = Mapping[str, Any]


class Candidate(NamedTuple):
    """A member of a completed trial, at its last epoch.

    Attributes:
        trial_id: of its trial.
        member: its name.
        accuracy: on the validation split; of a final run on the test split.
        macs: multiply-accumulates of one image.
        row: of the members table.
    """

    trial_id: str
    member: str
    accuracy: float
    macs: int
    row: Row


def study_objectives(description: Mapping[str, Any]) -> tuple[Objective, ...]:
    """What a study, or the search that it confirms, is judged by.

    Args:
        description: what its study.json says.
    """
    if "ranked_by" in description:
        return parse_objectives(description["ranked_by"].split(", "))
    settings = description["settings"]
    return parse_objectives(settings.get("search.objectives") or [settings["objective"]])


def study_objective(description: Mapping[str, Any]) -> Objective:
    """The first of these that is a validation metric."""
    return quality(study_objectives(description))


def candidates(
    trials: Iterable[Row], members: Iterable[Row], kept: Mapping[str, str] = MappingProxyType({})
) -> list[Candidate]:
    """Every member of every completed trial.

    Args:
        kept: which checkpoint of a trial is there, latest or best; of others the latest counts.

    Raises:
        StudyError: no trial is completed.
    """
    completed = {row["trial_id"] for row in trials if row["status"] == "completed"}
    found = [
        Candidate(row["trial_id"], row["member"], row["accuracy"], row["macs"], row)
        for row in members
        if row["trial_id"] in completed
        and row["checkpoint"] == kept.get(row["trial_id"], "latest")
        and row["accuracy"] is not None
    ]
    if not found:
        raise StudyError(
            "the study has no completed trial to export: let it go on with the command that "
            "started it"
        )
    return ordered(found)


def ordered(found: Iterable[Candidate]) -> list[Candidate]:
    """The most accurate first, of these the cheapest."""
    return sorted(found, key=lambda c: (-c.accuracy, c.macs, c.trial_id, c.member))


def of_trial(found: Sequence[Candidate], trial_id: str) -> list[Candidate]:
    """The members of one trial.

    Raises:
        StudyError: no completed trial has this number.
    """
    name = trial_id.zfill(5)
    chosen = [candidate for candidate in found if candidate.trial_id == name]
    if not chosen:
        known = ", ".join(sorted({candidate.trial_id for candidate in found}))
        raise StudyError(f"--trial must be a completed trial, one of {known}, not {trial_id!r}")
    return chosen


def of_member(found: Sequence[Candidate], member: str) -> list[Candidate]:
    """The candidates of one member name.

    Raises:
        StudyError: no network here has such a member.
    """
    chosen = [candidate for candidate in found if candidate.member == member]
    if not chosen:
        known = ", ".join(sorted({candidate.member for candidate in found}))
        raise StudyError(f"--member must be one of {known}, not {member!r}")
    return chosen


def best(found: Sequence[Candidate], objective: Objective, *, any_member: bool) -> Candidate:
    """The candidate with the best value of the study's objective.

    Args:
        any_member: take the member that the objective names; else the candidates are of one
            member already, and its own metric counts.
    """
    named = _named(found, objective) if any_member else []
    pool = [c for c in (named or found) if c.row[objective.metric] is not None] or found
    if objective.member in ("mean_branch", "deployed") and named:
        pool = of_trial(pool, _best_mean(pool, objective))
    return max(pool, key=lambda c: objective.score(c.row[objective.metric]))


def knee(found: Sequence[Candidate]) -> Candidate:
    """The candidate at the knee of accuracy against multiply-accumulates."""
    return accuracy_front(found)[pareto.knee(_points(found))]


def has_knee(found: Sequence[Candidate]) -> bool:
    """Whether the front of accuracy against multiply-accumulates has a knee."""
    return pareto.has_knee(_points(found))


def knee_note(found: Sequence[Candidate]) -> str:
    """What there is to say of a front without a knee, whose cheap end is taken; else nothing."""
    price = pareto.point_price(_points(found))
    if price is None:
        return ""
    return (
        f"note: the front has no knee, so its cheap end is taken: a point of accuracy more costs "
        f"{price:.3g} times the MACs (--pick best takes the other end)"
    )


def _points(found: Sequence[Candidate]) -> list[tuple[float, float]]:
    return [(point.accuracy, float(point.macs)) for point in accuracy_front(found)]


def within(found: Sequence[Candidate], max_macs: int) -> Candidate:
    """The most accurate candidate of at most so many multiply-accumulates.

    Raises:
        StudyError: each has more; the smallest is named.
    """
    fitting = [candidate for candidate in found if candidate.macs <= max_macs]
    if not fitting:
        least = min(found, key=lambda candidate: candidate.macs)
        raise StudyError(
            f"--max-macs must be at least {least.macs:,}, what {least.member} of trial "
            f"{least.trial_id} takes, not {max_macs:,}"
        )
    return fitting[0]


def accuracy_front(found: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that no other beats in accuracy and cost, the most accurate first."""
    points = [(candidate.accuracy, float(candidate.macs)) for candidate in found]
    return [found[i] for i in pareto.accuracy_front(points)]


def _named(found: Sequence[Candidate], objective: Objective) -> list[Candidate]:
    """The candidates that the objective is of, in trials that have any."""
    trials: dict[str, dict[str, Candidate]] = {}
    for candidate in found:
        trials.setdefault(candidate.trial_id, {})[candidate.member] = candidate
    named = []
    for members in trials.values():
        with contextlib.suppress(KeyError):
            rows = objective.rows([candidate.row for candidate in members.values()])
            named += [members[row["member"]] for row in rows]
    return named


def _best_mean(found: Sequence[Candidate], objective: Objective) -> str:
    """The trial whose members of an objective are best in the mean."""
    values: dict[str, list[float]] = {}
    for candidate in found:
        values.setdefault(candidate.trial_id, []).append(candidate.row[objective.metric])
    return max(values, key=lambda name: objective.score(sum(values[name]) / len(values[name])))
