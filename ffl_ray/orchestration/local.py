"""A worker that has its process to itself: a plain one, or a Tune actor."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

import torch

from ffl_ray.planning.limits import PROCESS_BYTES
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.session import Report


class LocalSession:
    """The session of a training of one worker.

    Args:
        files: folder of its checkpoints.
        num_threads: threads that torch may use.
        on_report: called with each finished epoch.
        device: the one to train on; none: a GPU if this process sees one.
    """

    rank = 0
    world_size = 1

    def __init__(
        self,
        files: Storage,
        num_threads: int,
        on_report: Callable[[Report], None],
        device: torch.device | None = None,
    ) -> None:
        self.num_threads = num_threads
        self.device = device
        self._files = files
        self._on_report = on_report
        files.make_folder()

    def read(self, name: str) -> bytes | None:
        return self._files.read(name)

    def write(self, name: str, data: bytes) -> None:
        write_unless_ended(self._files, name, data)

    def report(self, report: Report) -> None:
        self._on_report(report)


def write_unless_ended(files: Storage, name: str, data: bytes) -> None:
    """Store a checkpoint; nothing when its folder is gone, because its trial has ended.

    A trial that a scheduler stops ends, and its checkpoints with it, while its worker is still
    in the middle of an epoch.
    """
    try:
        files.write(name, data)
    except FileNotFoundError:
        if files.exists():
            raise


def bound_gpu_memory(share: float) -> None:
    """Let this process hold no more of its GPU than its share, its CUDA context included.

    What asks for more gets an out-of-memory error of its own, and not its neighbours.
    """
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(max(0.0, share - PROCESS_BYTES / total))


def give_back_memory() -> None:
    """Return freed memory to the system, between the trainings of one process.

    Tune runs each trial in a thread of its own, and glibc keeps what a thread freed: an actor of
    twenty trials held 2.8 GB where one trial needs 0.6.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
