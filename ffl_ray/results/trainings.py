"""Trainings: what tells one from another, whatever they were proposed as."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ffl_ray.config.methods import resolved
from ffl_ray.config.overrides import settings
from ffl_ray.config.settings import Config
from ffl_ray.results.description import MOVES
from ffl_ray.results.schema import config_columns

# The settings that a training but for its seed is made of.
DEFAULTS = config_columns(resolved(Config()))
TRAINED = sorted({setting.name for setting in settings(Config)} - {"seed", *MOVES})


def training_key(row: Mapping[str, Any]) -> str:
    """What tells a training from all others but its seed: equal for a row and its config's columns.

    A setting that a row of an older version lacks had what is its default today.

    Args:
        row: of the trials table, or of `config_columns`.
    """
    given = ((name, row.get(name)) for name in TRAINED)
    changed = [(name, value) for name, value in given if value not in (None, DEFAULTS[name])]
    return hashlib.sha256(repr(changed).encode()).hexdigest()
