"""The machines of a study: the memory, GPU memory and disk that each has free."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ffl_ray.planning.limits import Node

# Ray's default of worker_niceness (ray/common/ray_config_def.h).
WORKER_NICENESS = 15
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


class Cluster(Protocol):
    """The machines on which trials will run."""

    def nodes(self) -> list[Node]:
        """Those that live, each with the memory it has free."""
        ...

    def call(self, function: Callable[..., Any], *args: Any, cpus: float, gpus: float) -> Any:
        """The value of a function called where a worker may be.

        None when no machine was free, or its memory did not do.

        Args:
            function: of a module, so that another process can import it.
            args: plain values.
        """
        ...


class ThisMachine(NamedTuple):
    """The machine of this process as the only one; its GPUs are not asked.

    Attributes:
        cpus: that trials may have.
    """

    cpus: int

    def nodes(self) -> list[Node]:
        free, total, _ = memory_facts(False)
        return [Node(True, self.cpus, 0, free, total)]

    def call(self, function: Callable[..., Any], *args: Any, cpus: float, gpus: float) -> Any:
        """The value of a function in a thread that other processes go before, as before a worker.

        Measured in a thread that does not give way, a machine that others use looks faster than
        its trials will find it.
        """
        with ThreadPoolExecutor(max_workers=1, initializer=_give_way) as pool:
            return pool.submit(function, *args).result()


def _give_way() -> None:
    """Have this thread, and those that it starts, run at the niceness of Ray's workers."""
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):  # a system whose threads have none of their own
        nice = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(nice, WORKER_NICENESS))


def memory_facts(with_gpu: bool) -> tuple[int | None, int | None, int | None]:
    """Free and total memory of this machine, and what is free on its fullest GPU."""
    return (*_memory(), _gpu_memory() if with_gpu else None)


def _memory() -> tuple[int | None, int | None]:
    """Free and total, of the machine or of the container that this process is in."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return None, None
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines())
    free, total = (int(fields[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal"))
    for limit_file, usage_file in CGROUPS:
        limit = Path(limit_file).read_text().strip() if Path(limit_file).is_file() else "max"
        if limit.isdigit() and int(limit) < total:
            total = int(limit)
            free = min(free, total - int(Path(usage_file).read_text()))
    return free, total


def _gpu_memory() -> int | None:
    import torch

    count = torch.cuda.device_count()
    return min((torch.cuda.mem_get_info(i)[0] for i in range(count)), default=None)


def free_disk(location: str, is_local: bool) -> int | None:
    """Bytes free where a folder is, or will be; None in an object store."""
    if not is_local:
        return None
    path = Path(location)
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def mounts() -> str:
    """The file systems of this machine, as /proc/mounts lists them; empty where there is none."""
    path = Path("/proc/mounts")
    return path.read_text() if path.is_file() else ""
