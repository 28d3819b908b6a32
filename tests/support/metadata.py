"""A spot machine's metadata service on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "a-session's-token"


class Metadata:
    """What a machine's metadata service knows; `warn` makes it say that the machine goes."""

    def __init__(self) -> None:
        self.deadline: datetime | None = None
        self.asked: list[str] = []

    def warn(self, seconds: float) -> None:
        self.deadline = datetime.now(UTC) + timedelta(seconds=seconds)

    def answer(self, method: str, path: str, headers: Any) -> tuple[int, str]:
        self.asked.append(f"{method} {path}")
        if (method, path) == ("PUT", "/latest/api/token"):
            known = "X-aws-ec2-metadata-token-ttl-seconds" in headers
            return (200, TOKEN) if known else (400, "")
        if path == "/latest/meta-data/spot/instance-action":
            if headers.get("X-aws-ec2-metadata-token") != TOKEN:
                return 401, ""
            if self.deadline is None:
                return 404, "no such thing"
            at = self.deadline.strftime("%Y-%m-%dT%H:%M:%SZ")
            return 200, json.dumps({"action": "terminate", "time": at})
        if path == "/computeMetadata/v1/instance/preempted":
            if headers.get("Metadata-Flavor") != "Google":
                return 403, ""
            return 200, "FALSE" if self.deadline is None else "TRUE"
        return 404, ""


@contextmanager
def served(metadata: Metadata) -> Iterator[str]:
    """Its address, while it answers on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = metadata.answer(self.command, self.path, self.headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_PUT = do_GET  # noqa: N815

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
