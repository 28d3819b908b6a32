"""A real S3-compatible server on loopback, and a wire to it that can be cut."""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

BUCKET = "studies"
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def free_port() -> int:
    """A port that nobody listens on, and that the system hands out to nobody: it begins at 32768.

    A server that takes seconds to start finds it free, and who closes it finds it again.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_768)
        with contextlib.suppress(OSError), socket.socket() as found:
            found.bind(("127.0.0.1", port))
            return port


def uri(port: int, path: str = "", bucket: str = BUCKET) -> str:
    """A place in the server's store."""
    address = "/".join(part for part in (bucket, path) if part)
    return f"s3://{address}?endpoint_override=http://127.0.0.1:{port}&scheme=http"


@contextlib.contextmanager
def s3_server(**environment: str) -> Iterator[int]:
    """The port of moto's server, a process of its own, with one bucket in it."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | environment,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                make_bucket(port)
                break
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


def make_bucket(port: int) -> None:
    """Create a bucket."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


class Wire:
    """A TCP proxy on loopback that can be cut, and mended; a context manager.

    Args:
        target: port that it leads to.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._server: socket.socket | None = None
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Wire:
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def mend(self) -> None:
        """Take connections."""
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def cut(self) -> None:
        """Refuse connections, and break those that are there."""
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        """Pass on what either end says, until one has no more to say."""
        with near, socket.create_connection(("127.0.0.1", self._target)) as far:
            ends = {near: far, far: near}
            self._open |= set(ends)
            with contextlib.suppress(OSError):
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        data = end.recv(1 << 16)
                        if not data:
                            return
                        ends[end].sendall(data)
            self._open -= set(ends)
