"""Tables of what came out: the best trials, the front, the members of one training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ffl_ray.config.objectives import Objective
from ffl_ray.console.fitted_table import BrokenName, Fitted
from ffl_ray.console.plain_text import printable_row
from ffl_ray.console.trial_text import STATUS_STYLES, Row, fusion_and_temperature
from ffl_ray.results.best import Best
from ffl_ray.results.columns import BASELINE, PLAIN
from ffl_ray.results.sampler_state import keeps_constraints


def best_table(
    rows: list[Row], objectives: Sequence[Objective], best: Best | None = None, count: int = 5
) -> RenderableType:
    """The best trials by the first objective, completed ones first; baselines are always there.

    Args:
        best: the one that is called best, and stands above all.
    """
    accuracies = {
        "fused": "val.fused.accuracy",
        "ensemble": "val.ensemble.accuracy",
        "best branch": "val.best_branch.accuracy",
    }
    others = [o for o in objectives if f"val.{o.name}" not in accuracies.values()]
    order = _by_rank(rows, objectives[0], best)
    baselines = [row for row in order[count:] if row.get(BASELINE)]
    shown = [printable_row(row) for row in (*order[:count], *baselines)]
    how = _how(shown)
    table = Table(box=None, pad_edge=False)
    table.add_column("trial", overflow="fold")
    for name in ("status", "epochs"):
        table.add_column(name, justify="right" if name == "epochs" else "left", no_wrap=True)
    for name in (*(objective.name for objective in others), *accuracies):
        table.add_column(name, justify="right", no_wrap=True)
    how.add_columns(table)
    if best is not None and best.why:
        table.caption, table.caption_justify = best.why, "left"
    for row, cells in zip(shown, how.cells, strict=True):
        values = dict(zip(objectives, row["objective_values"], strict=True))
        table.add_row(
            BrokenName(f"{row['trial_id']} {row.get(BASELINE) or ''}".rstrip()),
            Text(row["status"], style=STATUS_STYLES.get(row["status"], "")),
            str(row["epochs_done"]),
            *(_number(values[objective]) for objective in others),
            *(_number(row[column]) for column in accuracies.values()),
            *cells,
        )
    return _titled(f"best trials, validation after the last epoch{how.alike}", table)


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


def front_table(points: list[Row], count: int = 15) -> RenderableType:
    """The front over the members of all completed trials."""
    more = f", the first {count} of {len(points)}" if len(points) > count else ""
    shown = [printable_row(point) for point in points[:count]]
    how = _how(shown)
    table = Table(box=None, pad_edge=False)
    hidden = (
        *("trial_id", "member", "backbone"),
        *("model.mix", "distill.method", "fusion.design", "distill.temperature"),
    )
    metrics = [name for name in points[0] if name not in hidden] if points else []
    for name in ("trial", "member"):
        table.add_column(name, no_wrap=True)
    for name in metrics:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("backbone", overflow="fold")
    how.add_columns(table)
    for point, cells in zip(shown, how.cells, strict=True):
        table.add_row(
            point["trial_id"],
            point["member"],
            *(_number(point[name]) for name in metrics),
            BrokenName(point["backbone"] or ""),
            *cells,
        )
    return _titled(
        f"front over all members of completed trials, validation after the last epoch{more}"
        f"{how.alike}",
        table,
    )


def _titled(title: str, table: Table) -> RenderableType:
    """A table under a title that may be wider than it."""
    return Group(Text(title, style="italic", overflow="fold"), Fitted(table))


HOW = ("mix", "method", "fusion", "T")
LONG = {"T": "temperature"}


class _How(NamedTuple):
    """How some trials were trained, as columns of a table.

    Attributes:
        names: of the columns, those in which the trials differ.
        cells: of each trial.
        alike: what they have in common, as the tail of a title.
    """

    names: list[str]
    cells: list[list[BrokenName]]
    alike: str

    def add_columns(self, table: Table) -> None:
        """Add the columns; no name in them is cut."""
        for name in self.names:
            table.add_column(name, overflow="fold")


def _how(rows: Sequence[Row]) -> _How:
    """Mix, method, fusion design and temperature of some trials; what does not vary stands once."""
    words = [
        {name: text or "-" for name, text in zip(HOW, _how_words(row), strict=True)} for row in rows
    ]
    # The plain baseline's name says that it is taught by no method.
    taught = [w for w, row in zip(words, rows, strict=True) if row.get(BASELINE) != PLAIN] or words
    first = taught[0] if taught else {}
    among = {name: taught if name == "method" else words for name in first}
    same = [name for name in first if len(words) > 1 and len({w[name] for w in among[name]}) == 1]
    names = [name for name in first if name not in same]
    cells = [[BrokenName(word[name]) for name in names] for word in words]
    return _How(names, cells, _alike({name: first[name] for name in same}, words))


def _alike(common: dict[str, str], words: Sequence[dict[str, str]]) -> str:
    """What trials have in common, as the tail of a title: all of them, or all that are taught."""
    whole = [name for name in common if len({word[name] for word in words}) == 1]
    taught = [name for name in common if name not in whole]
    tails = []
    for whom, names in (("all", whole), ("all but the plain one", taught)):
        told = [f"{LONG.get(n, n)} {common[n]}" for n in names if common[n] != "-"]
        tails += [f"; {whom} with {', '.join(told)}"] if told else []
    return "".join(tails)


def _how_words(row: Row) -> tuple[str | None, ...]:
    return row["model.mix"], row["distill.method"], *fusion_and_temperature(row)


def _number(value: float | None) -> str:
    """A number as text: four decimals below a thousand, else commas; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}"


def members_table(rows: list[Row]) -> RenderableType:
    """The classifiers that one training gave, after its latest epoch."""
    table = Table(title="members, validation after the last epoch", title_justify="left", box=None)
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


def next_text(study: str) -> str:
    """What to do next with a search, as commands: what is exported is what was confirmed.

    Args:
        study: as a command takes it, quoted.
    """
    return (
        f"next     python -m ffl_ray.report {study}\n"
        f"         python -m ffl_ray.confirm {study} --top 3 --seeds 5\n"
        f"         python -m ffl_ray.export {study}/confirmed --out model\n"
        f"         python -m ffl_ray.predict model IMAGE..."
    )


def where_text(location: str, table: str, name: str = "trials") -> str:
    """The place of the results, and the two lines of pandas that open one of their tables."""
    return (
        f"results  {location}\n"
        f"         import pandas as pd\n"
        f"         {name} = pd.read_parquet({json.dumps(table, ensure_ascii=False)})"
    )
