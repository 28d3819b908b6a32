"""The subjects that are compared."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.compare import input as image_input
from benchmarks.compare import study, tables, train
from ffl_ray.bench.measuring import Measure

MEASURES: Mapping[str, Measure] = {
    "train": train.measured,
    "study": study.measured,
    "tables": tables.measured,
    "input": image_input.measured,
}
