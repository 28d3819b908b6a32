"""Rows of the epochs and members tables: an epoch's measurements by column."""

from __future__ import annotations

import string
from collections.abc import Sequence

from ffl_ray.config.roles import roles_in
from ffl_ray.distill.terms import TERM_COLUMNS
from ffl_ray.models.network import AVERAGED
from ffl_ray.training.confusions import Confusions, to_row
from ffl_ray.training.metrics import MemberMetrics
from ffl_ray.training.predictions import Predictions, to_texts
from ffl_ray.training.session import Report, Row
from ffl_ray.training.setup import Training


def loss_columns(losses: dict[str, float]) -> Row:
    """`loss.NAME` columns; the terms `NAME.0`, `NAME.1` of the branches become one list.

    Terms that only one method knows are `loss.own`, and `loss.own_names` says which is which.
    """
    columns: Row = {}
    own = [name for name in losses if name.partition(".")[0] not in ("total", *TERM_COLUMNS)]
    if own:
        columns = {"loss.own": [losses[name] for name in own], "loss.own_names": ",".join(own)}
    for name, value in losses.items():
        column, _, index = name.partition(".")
        if name in own:
            continue
        if index:
            columns.setdefault(f"loss.{column}", []).append(value)
        else:
            columns[f"loss.{column}"] = value
    return columns


def metric_columns(metrics: dict[str, MemberMetrics], num_branches: int) -> Row:
    """`val.*` columns; none of them when nothing was validated."""
    if not metrics:
        return {}
    branches = [metrics[f"branch{index}"] for index in range(num_branches)]
    fused = metrics.get("fused")
    return {
        "val.fused.accuracy": fused.accuracy if fused else None,
        "val.ensemble.accuracy": metrics["ensemble"].accuracy,
        "val.best_branch.accuracy": max(branch.accuracy for branch in branches),
        "val.mean_branch.accuracy": sum(branch.accuracy for branch in branches) / num_branches,
        "val.branches.accuracy": [branch.accuracy for branch in branches],
        "val.fused.nll": fused.nll if fused else None,
        "val.ensemble.nll": metrics["ensemble"].nll,
        "val.branches.nll": [branch.nll for branch in branches],
    }


def prediction_rows(predictions: dict[str, Predictions], images: int) -> list[Row]:
    """What the members make of every image, as a report holds it.

    Args:
        images: how many there are.
    """
    return [
        {"member": name, "images": images, **to_texts(found)} for name, found in predictions.items()
    ]


def class_rows(training: Training, confusions: dict[str, Confusions]) -> list[Row]:
    """How the members do by class, as a report holds it."""
    classes = training.train.info.classes
    return [to_row(name, found, classes) for name, found in confusions.items()]


def _backbone(name: str, mix: Sequence[str]) -> str | None:
    """The backbone of a member that is one branch, or one branch's average, or all branches'."""
    if name == AVERAGED:
        return mix[0]
    number = name.lstrip(f"{string.ascii_lowercase}_")
    return mix[int(number)] if number else None


def member_rows(
    training: Training,
    metrics: dict[str, MemberMetrics],
    epoch: int,
    before: Report | None,
    *,
    images: int,
    split: str = "val",
) -> list[Row]:
    """Rows of the members table; a latency that was measured once stays what it was.

    Args:
        images: how many the metrics are of.
        split: which ones.
    """
    mix = training.config.model.mix
    roles = roles_in(training.config, metrics)
    latencies: dict[str, float | None] = {**training.latencies_ms}
    if before is not None:
        latencies = {row["member"]: row["latency_ms"] for row in before.members}
    return [
        {
            "member": name,
            "role": roles[name],
            "backbone": _backbone(name, mix),
            "split": split,
            "split_hash": training.facts.split_hash,
            "epoch": epoch,
            "images": images,
            **metric._asdict(),
            **training.costs[name]._asdict(),
            "latency_ms": latencies.get(name),
        }
        for name, metric in metrics.items()
    ]
