"""What a fault hits: the processes of a search, and the nodes of a Ray cluster on this machine."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

MARK = "FFL_RAY_FAULTS_MARK"
# As in cluster.yaml: a node that falls silent is noticed in seconds.
HEAD = {"grpc_client_keepalive_time_ms": 20000, "grpc_client_keepalive_timeout_ms": 10000}
PREEMPTION = 2  # autoscaler.proto, DrainNodeReason


def new_mark() -> str:
    """A sign for processes to carry in their environment."""
    return f"faults-{random.getrandbits(48):x}"


class Process(NamedTuple):
    """A living process.

    Attributes:
        pid: its id.
        parent: that of the process that started it.
        title: its command line, which Ray's workers replace by what they do.
    """

    pid: int
    parent: int
    title: str


def processes(mark: str = "") -> list[Process]:
    """Those that live, or of these the ones whose environment holds a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            title = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if state != "Z" and mark.encode() in (path / "environ").read_bytes():
                found.append(Process(int(path.name), int(parent), title.strip()))
    return found


def titled(mark: str, *parts: str) -> list[Process]:
    """The marked processes whose title holds one of these."""
    return [one for one in processes(mark) if any(part in one.title for part in parts)]


def below(pid: int) -> list[int]:
    """A process, and all that it started, and those started."""
    everybody = processes()
    found = [pid]
    for parent in found:
        found += [one.pid for one in everybody if one.parent == parent]
    return found


def kill(pids: Iterable[int]) -> None:
    """SIGKILL, to those that still live."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Nodes:
    """A Ray cluster on this machine: a head, and nodes that come and go.

    Args:
        head_cpus: of the head.
    """

    def __init__(self, head_cpus: int) -> None:
        from ray.cluster_utils import Cluster

        arguments = {
            "num_cpus": head_cpus,
            "_system_config": dict(HEAD),
            "include_dashboard": False,
        }
        self._cluster = Cluster(initialize_head=True, head_node_args=arguments)
        self.nodes: list[Any] = []
        self._head_lives = True

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self) -> None:
        """A node more, of one CPU."""
        self.nodes.append(self._cluster.add_node(num_cpus=1))

    def trainers(self) -> list[Any]:
        """The nodes that have a process of a training of several workers."""
        titles = {one.pid: one.title for one in processes()}
        return [
            node
            for node in self.nodes
            if any("RayTrainWorker" in titles.get(pid, "") for pid in below(raylet(node)))
        ]

    def kill(self, node: Any) -> None:
        """The raylet and all that runs under it, at once."""
        kill(below(raylet(node)))
        self.nodes.remove(node)
        self._forget(node)

    def kill_head(self) -> None:
        """All processes of the head: the cluster's memory, its raylet, and what runs there."""
        if not self._head_lives:
            return
        self._head_lives = False
        node: Any = self._cluster.head_node
        kill(below(raylet(node)))
        kill(one.process.pid for kind in node.all_processes.values() for one in kind)
        self._forget(node)

    def drain(self, node: Any, deadline_s: float) -> None:
        """What a cloud's warning becomes: no new work for this node, it ends in a moment."""
        from ray._raylet import GcsClient  # type: ignore[attr-defined]

        deadline_ms = int((time.time() + deadline_s) * 1000)
        client = GcsClient(address=self.address)
        accepted, why = client.drain_node(node.node_id, PREEMPTION, "spot", deadline_ms)
        assert accepted, why

    def _forget(self, node: Any) -> None:
        """Reap what was killed, or it stays a zombie that Ray takes for alive."""
        for kind in node.all_processes.values():
            for one in kind:
                one.process.wait()
        self._cluster.worker_nodes.discard(node)

    def close(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            kill(below(raylet(node)))
            self._forget(node)
        self.nodes = []
        self.kill_head()


def raylet(node: Any) -> int:
    """Process id of a node's raylet."""
    return int(node.all_processes["raylet"][0].process.pid)


@contextlib.contextmanager
def nodes(head_cpus: int, others: int = 0, *, mark: str) -> Iterator[Nodes]:
    """A cluster of a head and so many nodes of one CPU each, whose processes carry a mark."""
    # They inherit the environment of this process.
    os.environ |= {MARK: mark, "RAY_AUTH_MODE": "disabled"}
    made = Nodes(head_cpus)
    try:
        for _ in range(others):
            made.add()
        yield made
    finally:
        made.close()
