"""`python -m ffl_ray.confirm` from the outside, on a search whose tables are written by hand."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers import run, small_config, start

import ffl_ray.results
from ffl_ray.config import Config
from ffl_ray.methods import resolved
from ffl_ray.objectives import parse_objectives
from ffl_ray.overrides import flatten
from ffl_ray.results.storage import Storage
from ffl_ray.results.study import StudyTables, describe_study

TINY: dict[str, object] = {
    "model__mix": "2*resnet20",
    "data__fraction": 0.06,
    "optim__epochs": 3,
    "optim__batch_size": 32,
}
FOUND = [
    (0.90, {"fusion__design": "sum"}),
    (0.95, {"fusion__design": "mean"}),
    (0.95, {"fusion__design": "mean", "seed": 7}),
    (0.10, {"fusion__design": "gated"}),
]
OPTIONS = ["--cpus-per-trial", "1", "--max-concurrent-trials", "1"]


def config_of(changes: dict[str, Any]) -> Config:
    return resolved(small_config(**(TINY | changes)))


def fabricate(
    root: Path,
    found: list[tuple[float, dict[str, Any]]] = FOUND,
    status: str = "completed",
    kind: str = "search",
) -> Path:
    """A study whose trials ended with these values of fused.accuracy."""
    settings = flatten(config_of({})) | {"search.objectives": ("fused.accuracy",)}
    objectives = parse_objectives(["fused.accuracy"])
    description = describe_study(kind, settings)
    tables = StudyTables.open(Storage(str(root / "study")), "study", description, objectives)
    for number, (value, changes) in enumerate(found):
        trial_id, config = f"{number:05d}", config_of(changes)
        tables.start(trial_id, config, params="{}", distributions="{}", num_workers=1)
        row = {
            "epoch": config.optim.epochs,
            "time": datetime.now(UTC),
            "objective_value": value,
            "best_epoch": config.optim.epochs,
        }
        member = {"member": "fused", "split": "val", "split_hash": "0", "accuracy": value}
        tables.epoch(trial_id, row, [member], [member])
        tables.end(trial_id, status)
    return root / "study"
