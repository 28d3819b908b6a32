"""Two processes that train together against one that trains alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from helpers import MemorySession, small_config
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from ffl_ray.config import DistillConfig
from ffl_ray.data.loader import Batch
from ffl_ray.distill.ffl import ffl_terms
from ffl_ray.engine import Precision, average_running_statistics, train_epoch
from ffl_ray.models.network import NetworkOutput
from ffl_ray.worker import run_worker

PRECISION = Precision("cpu", autocast=False)


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


class Linears(nn.Module):
    """A network without batch norm, whose result can't depend on how a batch is shared."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shape = (3, 5, 4)
        self.weight = nn.Parameter(torch.randn(shape, dtype=torch.float64, generator=generator))

    def forward(self, images: Tensor) -> NetworkOutput:
        logits = torch.einsum("bi,nio->nbo", images, self.weight)
        return NetworkOutput(logits[:2], logits[2])


def shared_training(rank: int, count: int) -> tuple[Tensor, dict[str, float]]:
    """Three uneven batches, each split among the processes."""
    generator = torch.Generator().manual_seed(1)
    batches = []
    for size in (8, 7, 5):
        images = torch.randn(size, 5, dtype=torch.float64, generator=generator)
        labels = torch.arange(size) % 4
        part = slice(size * rank // count, size * (rank + 1) // count)
        batches.append(Batch(images[part], labels[part], size))
    network = Linears()
    wrapped = DistributedDataParallel(network) if count > 1 else network
    trained = train_epoch(
        wrapped,
        batches,
        torch.optim.SGD(network.parameters(), lr=0.5),
        lambda output, labels: ffl_terms(output, labels, DistillConfig()),
        distill_weight=0.5,
        precision=PRECISION,
        world_size=count,
    )
    return network.weight.detach(), trained.losses


def test_uneven_shares_give_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    weight, losses = shared_training(0, 1)

    for other, other_losses in in_processes(shared_training, 2, tmp_path):
        torch.testing.assert_close(other, weight, atol=1e-6, rtol=1e-6)
        assert other_losses == pytest.approx(losses, abs=1e-6)


def different_statistics(rank: int, count: int) -> list[float]:
    network = nn.BatchNorm2d(2)
    assert network.running_mean is not None
    network.running_mean.fill_(float(rank))
    average_running_statistics(network, count)
    return [float(value) for value in network.running_mean]


def test_batch_norm_statistics_are_averaged_over_workers(tmp_path: Path) -> None:
    assert in_processes(different_statistics, 2, tmp_path) == [[0.5, 0.5], [0.5, 0.5]]


def digits_training(rank: int, count: int) -> tuple[list[float], list[float]]:
    session = MemorySession()
    session.rank, session.world_size, session.num_threads = rank, count, 1
    run_worker(
        small_config(data__fraction=1.0, optim__epochs=6, optim__lr_schedule="cosine"), session
    )
    members = [member["accuracy"] for member in session.members[-1]]
    return members, [row["loss.total"] for row in session.rows]


def test_two_workers_reach_the_accuracy_of_one_with_the_same_global_batch(tmp_path: Path) -> None:
    alone, losses = digits_training(0, 1)

    first, second = in_processes(digits_training, 2, tmp_path)

    assert first == second
    members, shared_losses = first
    assert members == pytest.approx(alone, abs=0.05)
    assert shared_losses[0] == pytest.approx(losses[0], rel=0.1)
