"""Limits of memory, disk and storage: what does not fit is refused with the fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ffl_ray.errors import PlanError
from ffl_ray.planning.forecast import Forecast
from ffl_ray.planning.layout import Plan

# A trial's process beside its training: private memory of a Tune actor on a CPU is 0.45 GB in its
# first trial and 0.8 GB after sixteen networks (torch 2.15, Ray 2.60; oneDNN keeps its kernels).
PROCESS_BYTES = 550_000_000
# What a process takes of its GPU beside tensors: a CUDA context, cuDNN and cuBLAS; 0.6 to 1.0 GB is
# expected, and `python -m benchmarks.gpu` measures it.
CONTEXT_BYTES = 1_000_000_000
# Ray's memory monitor kills workers when 95% of a machine's memory is in use.
MONITORED_SHARE = 0.95
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "ceph", "gpfs", "beegfs", "glusterfs"}
    | {"afs", "orangefs", "pvfs2", "wekafs", "quobyte", "9p", "virtiofs"}
)
NETWORK_FUSE = (
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.ceph",
    "fuse.juicefs",
)


class Node(NamedTuple):
    """A living machine of the cluster.

    Attributes:
        is_driver: whether the command runs on it.
        cpus: that Ray gives to trials.
        gpus: likewise.
        memory_bytes: free for processes to come; none when not known.
        total_memory_bytes: of the machine.
        gpu_memory_bytes: free on its fullest GPU; none without one.
    """

    is_driver: bool
    cpus: int
    gpus: float
    memory_bytes: int | None = None
    total_memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None


class Room(NamedTuple):
    """Memory that each worker of a trial may take.

    Attributes:
        bytes: the least over the machines; none when not known.
        on_gpu: whether it is a GPU's.
        alone_bytes: what one worker could take if it were the only one of its machine or GPU.
    """

    bytes: int | None
    on_gpu: bool
    alone_bytes: int | None


def worker_room(plan: Plan, nodes: Sequence[Node]) -> Room:
    """Memory that each worker may take, when as many work at once as the plan says.

    A GPU that several trials share is divided by the fraction each room; in one process they have
    one CUDA context together. On CPUs a machine's
    memory, up to where Ray begins to kill, is divided among the workers that it takes at once.
    """
    return _gpu_room(plan, nodes) if plan.gpus_per_worker else _cpu_room(plan, nodes)


def _gpu_room(plan: Plan, nodes: Sequence[Node]) -> Room:
    free = [node.gpu_memory_bytes for node in nodes if node.gpu_memory_bytes is not None]
    if not free:
        return Room(None, True, None)
    least = min(free)
    share = min(1.0, plan.gpus_per_worker)
    of_context = share * CONTEXT_BYTES if plan.in_one_process else CONTEXT_BYTES
    return Room(int(least * share - of_context), True, least - CONTEXT_BYTES)


def _cpu_room(plan: Plan, nodes: Sequence[Node]) -> Room:
    workers = plan.max_concurrent_trials * plan.num_workers
    rooms, alone = [], []
    for node in nodes:
        if node.memory_bytes is None or node.cpus < plan.cpus_per_worker:
            continue
        kept_free = (node.total_memory_bytes or 0) * (1 - MONITORED_SHARE)
        usable = node.memory_bytes - kept_free
        there = min(workers, node.cpus // plan.cpus_per_worker)
        rooms.append(int(usable / there) - PROCESS_BYTES)
        alone.append(int(usable) - PROCESS_BYTES)
    if not rooms:
        return Room(None, False, None)
    return Room(min(rooms), False, max(alone))


def check_memory(forecast: Forecast, room: Room) -> int:
    """The number of sampled configs that do not fit the memory.

    Raises:
        PlanError: not even the smallest does.
    """
    if room.bytes is None:
        return 0
    least = forecast.memory_bytes[0]
    if least > room.bytes:
        place = "of GPU memory" if room.on_gpu else "of memory"
        raise PlanError(
            f"the smallest of {len(forecast.memory_bytes)} sampled configs needs "
            f"{gigabytes(least)} {place} for each worker, and there are "
            f"{gigabytes(max(0, room.bytes))} with {forecast.at_once} trials at once: "
            f"{_memory_fix(least, room)}"
        )
    return sum(needed > room.bytes for needed in forecast.memory_bytes)


def _memory_fix(needed: int, room: Room) -> str:
    assert room.alone_bytes is not None, "it is known when the room is"
    smaller = "a smaller optim.batch_size or smaller backbones"
    if needed > room.alone_bytes:
        return f"use {smaller}, or --num-workers to split the batch over more machines"
    if room.on_gpu:
        return f"use --gpus-per-trial 1, or {smaller}"
    count = max(1, (room.alone_bytes + PROCESS_BYTES) // (needed + PROCESS_BYTES))
    return f"use --max-concurrent-trials {count}, or {smaller}"


def check_disk(forecast: Forecast, free_bytes: int | None, location: str) -> None:
    """Check that the study's folder has room for all that it will hold.

    Args:
        free_bytes: on its file system; none when that has no bound.

    Raises:
        PlanError: it has not.
    """
    if free_bytes is not None and forecast.disk_bytes > free_bytes:
        raise PlanError(
            f"the study may take {gigabytes(forecast.disk_bytes)} at {location}, and "
            f"{gigabytes(free_bytes)} are free there (a checkpoint is up to "
            f"{gigabytes(forecast.checkpoint_bytes)}): use a --storage-path with more room, fewer "
            f"--max-concurrent-trials or a smaller search.keep_checkpoints"
        )


def check_storage(location: str, is_local: bool, nodes: Sequence[Node], mounts: str) -> None:
    """Check that every machine which may run a trial sees the study's folder.

    Args:
        is_local: whether the location is a path of this machine.
        mounts: what /proc/mounts says on this machine.

    Raises:
        PlanError: it is on a disk of this machine alone.
    """
    others = sum(node.cpus > 0 and not node.is_driver for node in nodes)
    if is_local and others and not is_shared(location, mounts):
        raise PlanError(
            f"--storage-path {location} is on a disk of this machine, and {others} other "
            f"node{'s' * (others > 1)} of the cluster can run trials and not see it: use a folder "
            f"on NFS that all nodes mount, or an object store such as s3://BUCKET/studies"
        )


def is_shared(path: str, mounts: str) -> bool:
    """Whether a path is on a network file system, which other machines may have mounted too.

    Args:
        path: absolute.
        mounts: the text of /proc/mounts.
    """
    longest, kind = "", ""
    for line in mounts.splitlines():
        _, point, found, *_ = line.split(" ")
        point = point.encode().decode("unicode_escape")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(longest):
            longest, kind = point, found
    return kind in NETWORK_FILE_SYSTEMS or kind in NETWORK_FUSE


def gigabytes(count: float) -> str:
    """Bytes as text, in a unit that suits them."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"
