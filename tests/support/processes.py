"""Process groups of a test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn


def in_processes(target: Callable[..., Any], count: int, folder: Path) -> list[Any]:
    """Run target(rank, count) in a process group of that many processes; their results."""
    spawn(_member, args=(target, count, str(folder)), nprocs=count)  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(count)]


def _member(rank: int, target: Callable[..., Any], count: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count
    )
    torch.save(target(rank, count), f"{folder}/{rank}.pt")
    dist.destroy_process_group()
