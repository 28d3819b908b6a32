"""Measured values as a person reads them."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import pandas as pd

NOTHING = "-"
ACCURACY = ("accuracy", "accuracy_low", "accuracy_high")
UNITS = {"macs": "MACs", "accelerator_s": "accelerator s", "trial_id": "trial"}


def readable(value: Any) -> str:
    """A cell of a table: four decimals below a thousand, whole with commas above."""
    if isinstance(value, list | tuple):
        return ", ".join(readable(item) for item in value) or NOTHING
    if value is None or pd.isna(value):
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Integral):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if value else "0"
    return str(value)


def readable_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of texts, with headings in words."""
    cells = {name: [_cell(name, value) for value in frame[name]] for name in frame.columns}
    made = pd.DataFrame(cells)
    made.columns = pd.Index([heading(name) for name in frame.columns])
    return made


def heading(name: str) -> str:
    """A column's name; the tables' own, with spaces for underscores where it is no setting."""
    if name in UNITS or "." in name:
        return UNITS.get(name, name.removeprefix("val."))
    return name.replace("_", " ")


def _cell(name: str, value: Any) -> str:
    if name.endswith(ACCURACY) and isinstance(value, float) and not pd.isna(value):
        return f"{value:.4f}"
    return str(value) if name == "seed" else readable(value)
