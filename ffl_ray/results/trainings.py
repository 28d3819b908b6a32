"""Trainings: what tells one from another, whatever they were proposed as."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ffl_ray.config.overrides import settings
from ffl_ray.config.settings import Config
from ffl_ray.results.description import MOVES

# The settings that a training but for its seed is made of.
TRAINED = sorted({setting.name for setting in settings(Config)} - {"seed", *MOVES})


def training_key(row: Mapping[str, Any]) -> str:
    """What tells a training from all others but its seed: equal for a row and its config's columns.

    Args:
        row: of the trials table, or of `config_columns`.
    """
    given = [(name, row[name]) for name in TRAINED if row.get(name) is not None]
    return hashlib.sha256(repr(given).encode()).hexdigest()
