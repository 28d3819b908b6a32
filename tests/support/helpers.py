"""Shared by the tests: a session in memory, small configs, and commands as subprocesses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.training.session import Report

Row = dict[str, Any]
NUM_THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2
ROOT = Path(__file__).parents[2]
FOUR_DIMENSIONS = str(ROOT / "tests" / "support" / "four_dimensions.py")


class MemorySession:
    """A worker's session that keeps files and rows in memory, and can stop after an epoch."""

    rank = 0
    world_size = 1
    num_threads = NUM_THREADS

    def __init__(
        self, files: dict[str, bytes] | None = None, stop_after: int | None = None
    ) -> None:
        self.device: torch.device | None = torch.device("cpu")
        self.files = {} if files is None else files
        self.rows: list[Row] = []
        self.members: list[list[Row]] = []
        self.best: list[list[Row]] = []
        self.predictions: list[Sequence[Row]] = []
        self.classes: list[Sequence[Row]] = []
        self.stop_after = stop_after

    def read(self, name: str) -> bytes | None:
        return self.files.get(name)

    def write(self, name: str, data: bytes) -> None:
        self.files[name] = data

    def report(self, report: Report) -> None:
        self.rows.append(report.row)
        self.members.append(report.members)
        self.best.append(report.best)
        self.predictions.append(report.predictions)
        self.classes.append(report.classes)
        if report.row["epoch"] == self.stop_after:
            raise KeyboardInterrupt


def small_config(**overrides: object) -> ResolvedConfig:
    """Two ResNet-8 branches on digits, a few short epochs; names may use __ for a dot."""
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    small = {
        "model.mix": "2*resnet8",
        "data.fraction": 0.3,
        "data.val_fraction": 0.2,
        "optim.epochs": 3,
        "optim.batch_size": 64,
    }
    return resolved_from(small | named)


def command(name: str, *options: str) -> list[str]:
    """A command line of the package."""
    return [sys.executable, "-m", f"ffl_ray.{name}", *options]


def start(
    name: str, *options: str, out: int = subprocess.DEVNULL, **environment: str
) -> subprocess.Popen[str]:
    """Start a command that can be interrupted, even where this process ignores Ctrl-C."""
    return subprocess.Popen(
        command(name, *options),
        stdout=out,
        stderr=out,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def with_root() -> str:
    """PYTHONPATH by which a command is found from any folder."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def run(
    name: str, *options: str, timeout_s: float = 240, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a pipe."""
    return subprocess.run(
        command(name, *options),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=os.environ | {"PYTHONPATH": with_root()} | environment,
        cwd=cwd,
    )


def wait_for_epochs(study: Path, count: int, *, every_s: float = 0.2) -> None:
    """Return when a study's tables hold that many epochs, or after two and a half minutes."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        parts = study.glob("epochs/part-*.parquet")
        if sum(pq.read_metadata(part).num_rows for part in parts) >= count:
            return
        time.sleep(every_s)
