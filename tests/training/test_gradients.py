"""What workers gather of each other."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from ffl_ray.data.shards import Shard, share_sizes, train_steps
from ffl_ray.training import gradients

SHARES = torch.arange(3.0), 10 + torch.arange(4.0)  # of a batch of seven images


@pytest.mark.parametrize("rank", [0, 1])
def test_values_of_a_batch_that_workers_share_unevenly_are_gathered(
    monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    def all_gather(parts: list[Tensor], own: Tensor) -> None:
        assert {part.shape for part in parts} == {own.shape}, "a collective is of equal sizes"
        for part, theirs in zip(parts, SHARES, strict=True):
            part[: len(theirs)] = theirs

    monkeypatch.setattr(dist, "get_rank", lambda: rank)
    monkeypatch.setattr(dist, "all_gather", all_gather)
    monkeypatch.setattr(dist, "all_reduce", lambda gradient: gradient.mul_(2))
    own = SHARES[rank].clone().requires_grad_()
    found = gradients.gathered(own, 2, 7)
    torch.testing.assert_close(found.detach(), torch.cat([SHARES[rank], SHARES[1 - rank]]))
    torch.autograd.backward((found * torch.arange(7.0)).sum())
    torch.testing.assert_close(own.grad, 2 * torch.arange(float(len(own))))


@pytest.mark.parametrize(("size", "world_size"), [(7, 2), (128, 3), (8, 4)])
def test_sizes_of_shares_are_those_of_the_steps(size: int, world_size: int) -> None:
    shards = (Shard(rank, world_size) for rank in range(world_size))
    taken = [next(train_steps(size, size, shard)).taken for shard in shards]
    assert share_sizes(size, world_size) == [part.stop - part.start for part in taken]
