"""Shards: which positions of an epoch a worker takes in each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

NOBODY = slice(0, 0)
LEAST_IMAGES = 2


class Shard(NamedTuple):
    """Which worker of how many."""

    rank: int = 0
    world_size: int = 1


class Step(NamedTuple):
    """A worker's share of one step.

    Attributes:
        number: of the step in its epoch.
        size: of the global batch.
        taken: positions in the epoch's order that the worker takes.
        partner: the position after them, where another worker takes it and images are mixed.
    """

    number: int
    size: int
    taken: slice
    partner: slice = NOBODY

    def of(self, rows: Tensor) -> Tensor:
        """What the worker needs of rows in the epoch's order."""
        if self.partner == NOBODY:
            return rows[self.taken]
        return torch.cat([rows[self.taken], rows[self.partner]])

    def with_partners(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The worker's of the rows that `of` gives, and each one's partner.

        That is the next row of the global batch, and of its last one the first.
        """
        alone = self.partner == NOBODY
        return (rows, rows.roll(-1, 0)) if alone else (rows[:-1], rows[1:])


def train_steps(
    count: int, batch_size: int, shard: Shard, *, first_step: int = 0, mixed: bool = False
) -> Iterator[Step]:
    """The shard's share of each training step that `count` images give.

    The last batch is kept unless it leaves a worker fewer than two images, which batch norm can't
    take.

    Args:
        first_step: steps before it are left out.
        mixed: each image needs its partner.
    """
    for number, start in enumerate(range(0, count, batch_size)):
        size = min(batch_size, count - start)
        if size < LEAST_IMAGES * shard.world_size:
            return
        if number >= first_step:
            taken = _share(start, size, shard)
            away = mixed and shard.world_size > 1
            yield Step(number, size, taken, _partner(taken, start, size) if away else NOBODY)


def num_train_steps(count: int, batch_size: int, world_size: int) -> int:
    """How many training steps `count` images give."""
    whole, rest = divmod(count, batch_size)
    return whole + (rest >= LEAST_IMAGES * world_size)


def eval_steps(count: int, batch_size: int, shard: Shard) -> Iterator[Step]:
    """The shard's share of `count` images in batches; none where it has none."""
    for number, start in enumerate(range(0, count, batch_size)):
        size = min(batch_size, count - start)
        taken = _share(start, size, shard)
        if taken.start < taken.stop:
            yield Step(number, size, taken)


def share_sizes(size: int, world_size: int) -> list[int]:
    """How many of `size` positions each worker takes: some may take one more than others."""
    shares = (_share(0, size, Shard(rank, world_size)) for rank in range(world_size))
    return [taken.stop - taken.start for taken in shares]


def _share(start: int, size: int, shard: Shard) -> slice:
    """The rank's even share of `size` positions from `start`."""
    first = start + size * shard.rank // shard.world_size
    last = start + size * (shard.rank + 1) // shard.world_size
    return slice(first, last)


def _partner(taken: slice, start: int, size: int) -> slice:
    """The position after a share of the global batch; after its last one comes its first."""
    position: int = start + (taken.stop - start) % size
    return slice(position, position + 1)
