"""Process groups of a test's own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

# What takes seconds to load is loaded once, by the process that all others are forked from;
# DistributedDataParallel loads the compiler.
LOADED = ["torch._dynamo", "pytest", "ffl_ray.training.worker"]


def in_processes(target: Callable[..., Any], count: int, folder: Path) -> list[Any]:
    """Run target(rank, count) in a process group of that many processes; their results."""
    multiprocessing.set_forkserver_preload(LOADED)
    start_processes(  # type: ignore[no-untyped-call]
        _member,
        args=(target, count, str(folder), dict(os.environ)),
        nprocs=count,
        start_method="forkserver",
    )
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(count)]


def _member(
    rank: int, target: Callable[..., Any], count: int, folder: str, environment: dict[str, str]
) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count
    )
    torch.save(target(rank, count), f"{folder}/{rank}.pt")
    dist.destroy_process_group()
