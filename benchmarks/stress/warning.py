"""What it costs a training to check for the mark of a machine that is about to be taken away.

One worker checks four times a second; several meet about every two seconds. Both are timed inside a
real training of the embedded digits. A meeting also waits for the slower worker, as the step's
own sum of gradients would: the median says what it costs, the mean what else the machine did.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from benchmarks.common import ended
from ffl_ray.config.methods import resolved_from
from ffl_ray.orchestration.local import LocalSession
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.epoch_checkpoint import EpochCheckpoints
from ffl_ray.training.session import Report
from ffl_ray.training.worker import run_worker

SETTINGS = {"model.mix": "2*resnet20", "optim.batch_size": 64, "data.val_fraction": 0.2}


def timed(act: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """An act that notes how long it takes."""

    def run(*args: Any) -> Any:
        started = time.perf_counter()
        try:
            return act(*args)
        finally:
            seconds.append(time.perf_counter() - started)

    return run


def train(rank: int, count: int, folder: str, epochs: int) -> None:
    """Run one worker's training; its times go to a file."""
    torch.set_num_threads(1)
    if count > 1:
        store = f"file://{folder}/store"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=count)
    rows: list[dict[str, Any]] = []

    def keep(report: Report) -> None:
        rows.append(report.row)

    session = LocalSession(Storage(folder).child(f"rank{rank}"), 1, keep, torch.device("cpu"))
    session.rank, session.world_size = rank, count
    checks: list[float] = []
    what = "_meet" if count > 1 else "_is_warned"
    with patch.object(EpochCheckpoints, what, timed(getattr(EpochCheckpoints, what), checks)):
        run_worker(resolved_from(SETTINGS | {"optim.epochs": epochs}), session)
    train_s = sum(row["train_s"] for row in rows)
    found = {"checks": checks, "train_s": train_s}
    Path(folder, f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    if count > 1:
        dist.destroy_process_group()


def main() -> int:
    """Print the share of each."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stress.warning", description=__doc__
    )
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            spawn(train, args=(count, folder, args.epochs), nprocs=count)  # type: ignore[no-untyped-call]
            found = json.loads(Path(folder, "0.json").read_text(encoding="utf-8"))
        checks, train_s = found["checks"], found["train_s"]
        median, mean = statistics.median(checks), statistics.mean(checks)
        share = 100 * len(checks) * median / train_s
        sys.stdout.write(
            f"{count} workers: {len(checks)} times in {train_s:.1f} s of training, median "
            f"{1e6 * median:.1f} us, mean {1e6 * mean:.1f} us: "
            f"{share:.4f}% by the median\n"
        )
    return 0


if __name__ == "__main__":
    ended(main)
