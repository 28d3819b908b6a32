"""A small cloud: machines that come and go when its HTTP interface is asked to, as EC2's do."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any, NamedTuple

from cluster.machines import GATEWAY, Network

PORT = 8099
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
API = f"http://{GATEWAY}:{PORT}"


class Instance(NamedTuple):
    """A machine that was asked for.

    Attributes:
        machine: its name in the network.
        address: its address.
        config: the node_config that it was asked for with.
        tags: Ray's own notes on it.
    """

    machine: str
    address: str
    config: dict[str, Any]
    tags: dict[str, str]


class Cloud:
    """A pool of machines behind an HTTP interface on the bridge; a context manager.

    Args:
        network: whose machines these are.
        pool: their names; when none is free the cloud is out of stock.
        say: is told what happens.
    """

    def __init__(self, network: Network, pool: Sequence[str], say: Callable[[str], None]) -> None:
        self._network = network
        self._free = [*pool]
        self._say = say
        self._numbers = itertools.count(1)
        self._instances: dict[str, Instance] = {}
        self._ready = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Cloud:
        threading.Thread(target=self._serve, daemon=True).start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self) -> None:
        """Answer, in the thread that the kernel ends the machines with."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        bridge = os.open(self._network.net_namespace, os.O_RDONLY)
        _move_to(bridge)  # this thread alone; the socket stays where it was made
        self._server = HTTPServer((GATEWAY, PORT), _handler(self))
        _move_to(here)
        self._ready.set()
        self._server.serve_forever(0.2)

    def kinds(self) -> list[str]:
        """The node types of the running machines, as Ray calls them, sorted."""
        return sorted(one.tags.get("ray-user-node-type", "?") for one in self.running().values())

    def running(self) -> dict[str, Instance]:
        """The machines that are paid for."""
        with self._lock:
            return dict(self._instances)

    def call(self, operation: str, **arguments: Any) -> Any:
        """Do what an HTTP request asks for."""
        done: dict[str, Callable[..., Any]] = {
            "list": self._list,
            "create": self._create,
            "tag": self._tag,
            "terminate": self.terminate,
        }
        return done[operation](**arguments)

    def _list(self) -> dict[str, Any]:
        return {key: one._asdict() for key, one in self.running().items()}

    def _create(self, config: dict[str, Any], tags: dict[str, str], count: int) -> None:
        for _ in range(count):
            if not self._free:
                raise RuntimeError("InsufficientInstanceCapacity")
            name = self._free.pop(0)
            machine = self._network[name]
            machine.power_on(blank=True)
            number = f"i-{next(self._numbers):04d}"
            with self._lock:
                self._instances[number] = Instance(name, machine.address, config, dict(tags))
            self._say(f"the cloud starts {number}, {tags.get('ray-user-node-type')}")

    def _tag(self, number: str, tags: dict[str, str]) -> None:
        with self._lock:
            if number in self._instances:  # Ray writes on machines that are gone, too
                self._instances[number].tags.update(tags)

    def terminate(self, number: str, why: str = "as asked") -> None:
        """End a machine."""
        with self._lock:
            instance = self._instances.pop(number, None)
        if instance is not None:
            self._network[instance.machine].power_off()
            self._free.append(instance.machine)
            self._say(f"the cloud ends {number}, {instance.tags.get('ray-user-node-type')}, {why}")


def _move_to(namespace: int) -> None:
    """Take this thread to a network namespace (os.setns is of Python 3.12)."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(namespace)


def _handler(cloud: Cloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                status, answer = 200, cloud.call(**asked)
            except RuntimeError as error:
                status, answer = 503, str(error)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *words: Any) -> None:
            pass

    return Handler
