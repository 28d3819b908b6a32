"""A worker's reports and its session: what it hands over, and its place in the world.

Without torch: a driver that only reads reports need not load it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch

Row = dict[str, Any]


class Report(NamedTuple):
    """A finished epoch, as rows of the tables.

    Attributes:
        row: of the epochs table.
        members: rows of the members table, after this epoch.
        best: the same after the best epoch so far.
        predictions: of the members on each image, after a training's last epoch: their names, and
            what `predictions.to_texts` gives; none where they are not kept.
        classes: of the members by class, then too, as `confusions.to_row` gives them.
    """

    row: Row
    members: list[Row]
    best: list[Row]
    predictions: Sequence[Row] = ()
    classes: Sequence[Row] = ()


class Session(Protocol):
    """A worker's place in the world, and its way to storage and to whoever watches.

    Attributes:
        rank: this process among the training's, from 0.
        world_size: how many there are; with more than one a process group is initialised.
        num_threads: threads that torch may use; more than the CPUs given costs 20 to 100 times.
        device: the device given to this process, or none to choose by the config.
    """

    rank: int
    world_size: int
    num_threads: int
    device: torch.device | None

    def read(self, name: str) -> bytes | None:
        """A stored file of this training, or None when there is none yet."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Store a file atomically: a reader sees the old one or the new one."""
        ...

    def report(self, report: Report) -> None:
        """Hand over a finished epoch. Every rank calls it, equally often; rank 0's counts."""
        ...
