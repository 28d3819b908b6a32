"""The front of a search: every member of every completed trial is a candidate.

One training yields N + 2 classifiers. With objectives such as fused.accuracy and fused.macs a
cheap branch of one trial competes with the fused classifier of another: what counts is the
metric of each objective, taken of the candidate itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ffl_ray.config.objectives import Objective, dominates
from ffl_ray.config.readers import values_read

Row = Mapping[str, Any]


def front(
    trials: Iterable[Row], members: Iterable[Row], objectives: Sequence[Objective]
) -> list[dict[str, Any]]:
    """The members that no other beats in every metric of the objectives, best first.

    Pruned, failed and interrupted trials stay out: their members are half trained.

    Args:
        trials: rows of the trials table.
        members: rows of the members table; the latest checkpoint of each counts.

    Returns:
        Rows with trial_id, member, backbone, the metrics, and the trial's mix, method, fusion
        design and temperature, none where they have no effect.
    """
    completed = {row["trial_id"]: row for row in trials if row["status"] == "completed"}
    metrics = list(dict.fromkeys(objective.metric for objective in objectives))
    turned = {objective.metric: objective for objective in objectives}
    candidates = [
        row
        for row in members
        if row["trial_id"] in completed
        and row["checkpoint"] == "latest"
        and all(row[metric] is not None for metric in metrics)
    ]
    scores = [[turned[m].score(row[m]) for m in metrics] for row in candidates]
    chosen = non_dominated(scores)
    return [_point(candidates[i], completed[candidates[i]["trial_id"]], metrics) for i in chosen]


def non_dominated(scores: Sequence[Sequence[float]]) -> list[int]:
    """Positions of the points that no other dominates, in falling order; more is better.

    A point can only be dominated by one that comes before it in falling order.
    """
    found: list[int] = []
    for index in sorted(range(len(scores)), key=lambda i: list(scores[i]), reverse=True):
        if not any(dominates(scores[kept], scores[index]) for kept in found):
            found.append(index)
    return found


def accuracy_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points that no other beats, the best first; of equal ones the first.

    Args:
        points: accuracy and cost of each.
    """
    scores = [(accuracy, -cost) for accuracy, cost in points]
    places = {scores[i]: i for i in reversed(non_dominated(scores))}
    return sorted(places.values(), key=lambda i: -points[i][0])


def knee(points: Sequence[tuple[float, float]]) -> int:
    """The place of the point at the knee of quality against cost.

    Of a front, the point that lies highest above the line between its two ends, both axes scaled to
    [0, 1] and costs in logarithms (Satopaa et al. 2011, "Finding a kneedle in a haystack", section
    III); the cheapest one where no point lies above it.

    Args:
        points: quality and cost of each of a front, the best first.
    """
    heights = _heights(points)
    highest = max(heights)
    return heights.index(highest) if highest > 0 else len(points) - 1


def has_knee(points: Sequence[tuple[float, float]]) -> bool:
    """Whether a point of a front, as `knee` takes it, lies above the line between its ends."""
    return max(_heights(points)) > 0


def point_price(points: Sequence[tuple[float, float]]) -> float | None:
    """What a point of quality costs on a front without a knee: a factor of the cost.

    None where there is a knee, or no front to speak of.

    Args:
        points: as `knee` takes them; a point is 0.01.
    """
    (best, dearest), (least, cheapest) = points[0], points[-1]
    if best == least or has_knee(points):
        return None
    return float((dearest / cheapest) ** (0.01 / (best - least)))


def _heights(points: Sequence[tuple[float, float]]) -> list[float]:
    """How high each point of a front lies above the line between its ends."""
    (best, dearest), (least, cheapest) = points[0], points[-1]
    span, rise = math.log(dearest) - math.log(cheapest), best - least
    if not span or not rise:
        return [0.0] * len(points)
    inner = [
        (quality - least) / rise - (math.log(cost) - math.log(cheapest)) / span
        for quality, cost in points[1:-1]
    ]
    return [0.0, *inner, 0.0][: len(points)]


def _point(member: Row, trial: Row, metrics: Sequence[str]) -> dict[str, Any]:
    names = ("model.mix", "distill.method", "fusion.design", "distill.temperature")
    return {
        "trial_id": member["trial_id"],
        "member": member["member"],
        "backbone": member["backbone"],
        **{metric: member[metric] for metric in metrics},
        **dict(zip(names, values_read(trial, names), strict=True)),
    }
