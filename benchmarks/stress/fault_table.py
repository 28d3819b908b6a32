"""What `benchmarks.stress.faults` writes down of an injection, and the table of all of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd


class Injection(NamedTuple):
    """One fault and what became of it: a row of faults.csv.

    Attributes:
        fault: its name.
        number: counts the injections of this fault, from 0.
        delay_s: from a finished epoch to the fault.
        epochs_before: stored when it came.
        epochs_lost: of these, gone or changed afterwards.
        epochs_again: finished epochs whose training began again.
        trials_lost: failed or vanished.
        ended_s: from the fault to the end of the command; none where it went on.
        recover_s: from the fault, or from the same command given again, to a new epoch; none
            when none came in time.
    """

    fault: str
    number: int
    delay_s: float
    epochs_before: int
    epochs_lost: int
    epochs_again: int
    trials_lost: int
    ended_s: float | None
    recover_s: float | None


def append(out: Path, made: Injection) -> None:
    """Add a row to the file."""
    path = out / "faults.csv"
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(Injection._fields)
        writer.writerow(["" if value is None else value for value in made])


def read(out: Path) -> list[Injection]:
    """All rows of the file."""
    path = out / "faults.csv"
    if not path.exists():
        return []
    rows = pd.read_csv(path).astype(object)
    rows = rows.where(rows.notna(), None)
    return [Injection(*values) for values in rows.itertuples(index=False, name=None)]


def table(rows: Sequence[Injection], names: Mapping[str, str]) -> str:
    """The faults as a markdown table.

    Args:
        rows: the injections.
        names: each fault in words, in the table's order.
    """
    lines = [
        "| fault | injected | epochs lost | epochs trained again | trials lost | "
        "seconds until the command ended | seconds to recover |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, what in names.items():
        own = [row for row in rows if row.fault == name]
        if own:
            cells: list[Any] = [what, len(own)]
            cells += [sum(row.epochs_lost for row in own), sum(row.epochs_again for row in own)]
            cells += [sum(row.trials_lost for row in own)]
            cells += [spread([row.ended_s for row in own]), spread([r.recover_s for r in own])]
            lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def spread(values: Sequence[float | None]) -> str:
    """Median, least and most, and how many never came."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return ""
    never = f", {len(values) - len(known)} never" * (len(known) < len(values))
    return f"{known[len(known) // 2]:.0f} ({known[0]:.0f} to {known[-1]:.0f}{never})"
