"""Which positions of an epoch a worker takes in each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Shard(NamedTuple):
    """Which worker of how many."""

    rank: int = 0
    world_size: int = 1


def steps_of(
    count: int, batch_size: int, shard: Shard, first_step: int = 0
) -> Iterator[tuple[int, int, int]]:
    """Number, first position and size of each step of an epoch that `count` images give."""
    for step, start in enumerate(range(0, count, batch_size)):
        size = min(batch_size, count - start)
        if size < 2 * shard.world_size:
            return
        if step >= first_step:
            yield step, start, size


def partner_of(part: slice, start: int, size: int) -> slice:
    """The position after a part of the global batch; after its last one comes its first."""
    position: int = start + (part.stop - start) % size
    return slice(position, position + 1)


def part_of(start: int, size: int, shard: Shard) -> slice:
    """The rank's even share of `size` positions from `start`."""
    first = start + size * shard.rank // shard.world_size
    last = start + size * (shard.rank + 1) // shard.world_size
    return slice(first, last)
