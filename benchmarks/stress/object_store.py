"""An S3-compatible server on loopback, for clusters whose nodes share no folder."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextlib.contextmanager
def object_store() -> Iterator[str]:
    """The URI of an empty bucket; it is gone when the block ends."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    os.environ |= KEYS
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        make_bucket(f"http://127.0.0.1:{port}/studies")
        yield f"s3://studies?endpoint_override=http://127.0.0.1:{port}&scheme=http"
    finally:
        server.kill()
        server.wait()


def make_bucket(url: str, within_s: float = 60) -> None:
    """Create a bucket as soon as the server answers."""
    until = time.monotonic() + within_s
    request = urllib.request.Request(url, method="PUT")
    while True:
        try:
            urllib.request.urlopen(request, timeout=30).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
