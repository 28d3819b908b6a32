"""A study whose tables are told epoch by epoch: no training."""

from pathlib import Path
from typing import Any

from ffl_ray.config.objectives import parse_objective
from ffl_ray.results.description import (
    describe_study,
)
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables

FUSED = [parse_objective("fused.accuracy")]
EPOCH = {
    "objective_value": 0.5,
    "val.fused.accuracy": 0.5,
    "val.ensemble.accuracy": 0.5,
    "val.best_branch.accuracy": 0.5,
    "accelerator_s": 1.0,
    "peak_memory_bytes": 1,
}


def new_study(folder: Path) -> StudyTables:
    return StudyTables.open(Storage(str(folder)), "study", describe_study("test", {"a": 1}), FUSED)


def members(epoch: int) -> list[dict[str, Any]]:
    return [{"member": "fused", "split_hash": "ab", "epoch": epoch, "accuracy": epoch / 10}]
