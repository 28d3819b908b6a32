"""Tables of what came out: the best trials, the front, the members of one training."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ffl_ray.config.objectives import Objective
from ffl_ray.console.plain_text import printable_row
from ffl_ray.console.trial_text import STATUS_STYLES, Row, how_fused
from ffl_ray.results.best import Best
from ffl_ray.results.sampler_state import keeps_constraints


def best_table(
    rows: list[Row], objectives: Sequence[Objective], best: Best | None = None, count: int = 5
) -> RenderableType:
    """The best trials by the first objective, completed ones first.

    Args:
        best: the one that is called best, and stands above all.
    """
    accuracies = {
        "fused": "val.fused.accuracy",
        "ensemble": "val.ensemble.accuracy",
        "best branch": "val.best_branch.accuracy",
    }
    others = [o for o in objectives if f"val.{o.name}" not in accuracies.values()]
    table = Table(title="best trials, validation", title_justify="left", box=None)
    for name in ("trial", "status", "epochs"):
        table.add_column(name, justify="right" if name == "epochs" else "left")
    for name in (*(objective.name for objective in others), *accuracies):
        table.add_column(name, justify="right")
    for name in ("mix", "method", "fusion", "temperature"):
        table.add_column(name)
    if best is not None and best.is_cheaper:
        table.caption, table.caption_justify = _why_best(best), "left"
    for row in map(printable_row, _by_rank(rows, objectives[0], best)[:count]):
        values = dict(zip(objectives, row["objective_values"], strict=True))
        table.add_row(
            row["trial_id"],
            Text(row["status"], style=STATUS_STYLES.get(row["status"], "")),
            str(row["epochs_done"]),
            *(_number(values[objective]) for objective in others),
            *(_number(row[column]) for column in accuracies.values()),
            Text(row["model.mix"]),
            *_how(row),
        )
    return table


def _by_rank(rows: list[Row], objective: Objective, best: Best | None) -> list[Row]:
    """The one that is called best, then the completed ones, those that break a bound last."""
    called = best.trial_id if best else None
    return sorted(
        (row for row in rows if row.get("objective_values")),
        key=lambda row: (
            row["trial_id"] == called,
            row["status"] == "completed",
            keeps_constraints(row),
            objective.score(row["objective_values"][0]),
        ),
        reverse=True,
    )


def _why_best(best: Best) -> str:
    return (
        f"{best.trial_id} is called best: within one standard error ({best.error:.4f}) of "
        f"{best.top_id}, at {best.macs:,.0f} MACs and not {best.top_macs:,.0f}"
    )


def front_table(points: list[Row], count: int = 15) -> RenderableType:
    """The front over the members of all completed trials."""
    more = f", the first {count} of {len(points)}" if len(points) > count else ""
    title = f"front over all members of completed trials, validation{more}"
    table = Table(title=title, title_justify="left", box=None)
    hidden = (
        *("trial_id", "member", "backbone"),
        *("model.mix", "distill.method", "fusion.design", "distill.temperature"),
    )
    metrics = [name for name in points[0] if name not in hidden] if points else []
    for name in ("trial", "member"):
        table.add_column(name)
    for name in metrics:
        table.add_column(name, justify="right")
    for name in ("backbone", "mix", "method", "fusion", "temperature"):
        table.add_column(name)
    for point in map(printable_row, points[:count]):
        table.add_row(
            point["trial_id"],
            point["member"],
            *(_number(point[name]) for name in metrics),
            Text(point["backbone"] or ""),
            Text(point["model.mix"]),
            *_how(point),
        )
    return table


def _how(row: Row) -> list[Text]:
    """Method, fusion design and temperature of a trial, as cells."""
    taught = row["distill.method"] != "independent" and row["distill.temperature"] is not None
    temperature = f"{row['distill.temperature']:.2f}" if taught else "-"
    return [Text(word) for word in (row["distill.method"], how_fused(row), temperature)]


def _number(value: float | None) -> str:
    """A number as text: four decimals below a thousand, else commas; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def members_table(rows: list[Row]) -> RenderableType:
    """The classifiers that one training gave, after its latest epoch."""
    table = Table(title="members, validation", title_justify="left", box=None)
    for name in ("member", "role", "backbone"):
        table.add_column(name)
    timed = any(row["latency_ms"] is not None for row in rows)
    for name in ("accuracy", "top-5", "NLL", "ECE", "parameters", "MACs", *(["ms"] * timed)):
        table.add_column(name, justify="right")
    for row in map(printable_row, rows):
        if row["checkpoint"] == "latest":
            table.add_row(
                row["member"],
                Text(row["role"] or ""),
                Text(row["backbone"] or ""),
                *(_number(row[name]) for name in ("accuracy", "top5", "nll", "ece")),
                *(
                    "-" if row[name] is None else f"{row[name]:,}"
                    for name in ("parameters", "macs")
                ),
                *([_number(row["latency_ms"])] if timed else []),
            )
    return table


def where_text(location: str, table: str, name: str = "trials") -> str:
    """The place of the results, and the two lines of pandas that open one of their tables."""
    return (
        f"results  {location}\n"
        f"         import pandas as pd\n"
        f"         {name} = pd.read_parquet({json.dumps(table, ensure_ascii=False)})"
    )
