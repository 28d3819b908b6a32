"""What the machines have: memory, GPU memory and disk, of this one or of a cluster's nodes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ffl_ray.planning.limits import Node

TIMEOUT_S = 60.0
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def alive_nodes() -> list[Node]:
    """The nodes of the joined cluster, each with the memory it has free.

    A node that does not answer within a minute, or is lost meanwhile, has unknown memory.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    found = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    ask = ray.remote(num_cpus=0)(memory_facts)
    asked = []
    for node in found:
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        with_gpu = bool(node["Resources"].get("GPU", 0))
        asked.append(ask.options(scheduling_strategy=place).remote(with_gpu))
    ready, _ = ray.wait(asked, num_returns=len(asked), timeout=TIMEOUT_S)

    def told(one: Any) -> tuple[int | None, int | None, int | None]:
        try:
            return ray.get(one) if one in ready else (None, None, None)
        except RayError:
            return None, None, None

    facts = [told(one) for one in asked]
    return [
        Node(
            node["NodeID"] == here,
            int(node["Resources"].get("CPU", 0)),
            node["Resources"].get("GPU", 0.0),
            *fact,
        )
        for node, fact in zip(found, facts, strict=True)
    ]


def this_machine(cpus: int, gpus: float) -> list[Node]:
    """The machine of this process as the only node, its GPUs not asked."""
    free, total, _ = memory_facts(False)
    return [Node(True, cpus, gpus, free, total)]


def memory_facts(with_gpu: bool) -> tuple[int | None, int | None, int | None]:
    """Free and total memory of this machine, and what is free on its fullest GPU."""
    return (*_memory(), _gpu_memory() if with_gpu else None)


def _memory() -> tuple[int | None, int | None]:
    """Of the machine, or of the container that this process is in."""
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


def call_on_node(function: Any, *args: Any, cpus: float, gpus: float) -> Any:
    """Run a function in a Ray task with these resources; None when none is free within a minute."""
    import ray
    from ray.exceptions import GetTimeoutError

    task = ray.remote(num_cpus=cpus, num_gpus=gpus)(function).remote(*args)
    try:
        return ray.get(task, timeout=TIMEOUT_S)
    except GetTimeoutError:
        ray.cancel(task, force=True)
        return None
