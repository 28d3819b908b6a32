"""A trial in a few words: its mix, how it is distilled and fused, its temperature."""

from __future__ import annotations

from typing import Any

from ffl_ray.config.methods import mix_of
from ffl_ray.config.overrides import flatten, mix_name
from ffl_ray.config.readers import values_read
from ffl_ray.config.settings import Config
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
    method, (fused, temperature) = row["distill.method"], fusion_and_temperature(row)
    named = method if method != "ffl" or not fused else None
    words = (row["model.mix"], named, fused, temperature and f"T={temperature}")
    baseline = PLAIN_WORDS if row.get(BASELINE) == PLAIN else ""
    return printable_line(f"{' '.join(str(word) for word in words if word)}{baseline}")


def fusion_and_temperature(row: Row) -> tuple[str | None, str | None]:
    """The fusion design and the temperature of a trial whose method reads them; else none."""
    design, temperature = values_read(row, ("fusion.design", "distill.temperature"))
    return design and str(design), None if temperature is None else f"{temperature:.2f}"
