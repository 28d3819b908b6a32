"""A trial in a few words: its mix, how it is distilled and fused, its temperature."""

from __future__ import annotations

from typing import Any

from ffl_ray.config.methods import mix_of
from ffl_ray.config.overrides import flatten, mix_name
from ffl_ray.config.settings import Config
from ffl_ray.config.user_code import is_own
from ffl_ray.console.plain_text import printable_line
from ffl_ray.results.columns import BASELINE, PLAIN

Row = dict[str, Any]
PLAIN_WORDS = ", the plain baseline"
STATUS_STYLES = {
    "completed": "green",
    "pruned": "yellow",
    "failed": "red",
    "interrupted": "magenta",
    "running": "cyan",
}


def trial_words(config: Config) -> str:
    """A config's mix, method or fusion design, and temperature in a few words."""
    return row_words({**flatten(config), "model.mix": mix_name(mix_of(config))})


def row_words(row: Row) -> str:
    """A trial's mix, method or fusion design, and temperature, from its row of the trials table."""
    how = how_fused(row) if row["distill.method"] == "ffl" else row["distill.method"]
    if is_own(str(row["distill.method"])):
        how = f"{how} {row['fusion.design']}"
    temperature = row["distill.temperature"]
    softened = "" if temperature is None or how == "independent" else f" T={temperature:.2f}"
    baseline = PLAIN_WORDS if row.get(BASELINE) == PLAIN else ""
    return printable_line(f"{row['model.mix']} {how}{softened}{baseline}")


def how_fused(row: Row) -> str:
    """The fusion design of a trial whose method has one."""
    fuses = row["distill.method"] == "ffl" or is_own(str(row["distill.method"]))
    return str(row["fusion.design"]) if fuses else "-"
