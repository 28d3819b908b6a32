"""What a fault hits: the processes of a search, and the nodes of a Ray cluster on this machine."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterable, Iterator
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from benchmarks.ray_private import drain_node
from ffl_ray.bench.processes import MARK, Marked, MarkedProcess, command_of

# As in cluster.yaml: a node that falls silent is noticed in seconds.
HEAD = {"grpc_client_keepalive_time_ms": 20000, "grpc_client_keepalive_timeout_ms": 10000}


def new_mark() -> str:
    """A sign for processes to carry in their environment."""
    return f"faults-{random.getrandbits(48):x}"


def marked(mark: str) -> list[MarkedProcess]:
    """The living processes whose mark begins with this one."""
    return Marked(mark).find()[0]


def titled(mark: str, *parts: str) -> list[psutil.Process]:
    """The marked processes whose command line holds one of these."""
    return [one.process for one in marked(mark) if any(part in one.command for part in parts)]


class Nodes:
    """A Ray cluster on this machine: a head, and nodes that come and go.

    Args:
        head_cpus: of the head.
    """

    def __init__(self, head_cpus: int) -> None:
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
        """Add a node of one CPU."""
        self.nodes.append(self._cluster.add_node(num_cpus=1))

    def trainers(self) -> list[Any]:
        """The nodes that have a process of a training of several workers."""
        return [node for node in self.nodes if _trains(with_descendants(raylet(node)))]

    def kill(self, node: Any) -> None:
        """Kill a node's raylet and all that runs under it, at once."""
        kill(with_descendants(raylet(node)))
        self.nodes.remove(node)
        self._forget(node)

    def kill_head(self) -> None:
        """Kill all processes of the head: the cluster's memory, its raylet, and what runs there."""
        if not self._head_lives:
            return
        self._head_lives = False
        node: Any = self._cluster.head_node
        kill(with_descendants(raylet(node)))
        kill(one.process for kind in node.all_processes.values() for one in kind)
        self._forget(node)

    def drain(self, node: Any, deadline_s: float) -> None:
        """Do what a cloud's warning becomes: no new work for this node, it ends in a moment."""
        drain_node(self.address, node.node_id, deadline_s)

    def _forget(self, node: Any) -> None:
        """Reap what was killed, or it stays a zombie that Ray takes for alive."""
        for kind in node.all_processes.values():
            for one in kind:
                one.process.wait()
        self._cluster.worker_nodes.discard(node)

    def close(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            kill(with_descendants(raylet(node)))
            self._forget(node)
        self.nodes = []
        self.kill_head()


def _trains(processes: list[psutil.Process]) -> bool:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if "RayTrainWorker" in command_of(process):
                return True
    return False


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


def with_descendants(pid: int) -> list[psutil.Process]:
    """A process, all that it started, and those started; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(processes: Iterable[Any]) -> None:
    """SIGKILL to the processes that still live."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
