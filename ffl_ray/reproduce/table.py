"""The comparison as a table of the study, which pandas reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ffl_ray.config.overrides import mix_name
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.reproduce.presets import Departures
from ffl_ray.reproduce.rows import Table
from ffl_ray.reproduce.verdict import Reproduced
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.writer import KeyedTable

FOLDER = "reproduced"


def write_reproduced(
    storage: Storage,
    study: str,
    name: str,
    table: Table,
    found: Sequence[Reproduced],
    configs: Mapping[str, ResolvedConfig],
    departures: Departures,
) -> None:
    """Create or replace these rows; those of an earlier command with other rows stay.

    Args:
        storage: of the study.
        name: of the table.
        configs: what each row's training was, by the row's name.
    """
    stored = KeyedTable(storage, FOLDER, "row")
    about = {"study": study, "table": name, "source": table.source}
    for one in found:
        config = configs[one.row.name]
        settings = {
            "data.name": config.data.name,
            "distill.method": config.distill.method,
            "model.mix": mix_name(config.model.mix),
        }
        cautions = "; ".join(table.cautions + one.row.notes)
        left = departures.words or None
        columns = about | settings | reproduced_columns(one)
        stored.update(one.row.name, **columns, departures=left, cautions=cautions)


def reproduced_columns(one: Reproduced) -> dict[str, Any]:
    """The numbers of a row as fractions, like every accuracy in a study."""
    row, ours = one.row, one.ours
    low, high = (None, None) if row.band is None else row.band
    difference = None if one.difference is None else one.difference.mean
    percents = {
        "published_mean": row.mean,
        "published_std": row.std,
        "band_low": low,
        "band_high": high,
        "mean": ours.mean,
        "std": ours.std,
        "low": ours.low,
        "high": ours.high,
        "difference": difference,
    }
    fractions = {key: None if value is None else value / 100 for key, value in percents.items()}
    return {
        "published_backbone": row.backbone,
        "published_method": row.label,
        "figure": row.figure,
        "n": ours.n,
        "verdict": one.verdict,
        "seeds": one.seeds,
        **fractions,
    }
