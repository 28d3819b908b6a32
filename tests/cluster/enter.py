"""Knock at Ray Client's port, 10001: `python enter.py ADDRESS TOKEN`; fails when refused.

`ray.init("ray://...")` with a wrong token says only that it waited in vain for half a minute.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
from ray.core.generated import ray_client_pb2, ray_client_pb2_grpc

messages: Any = ray_client_pb2
services: Any = ray_client_pb2_grpc


def main(address: str, token: str) -> str:
    """What the server answers to a ping: its status code and words."""
    stub = services.RayletDriverStub(grpc.insecure_channel(address))
    ping = messages.ClusterInfoRequest(type=messages.ClusterInfoType.PING)
    metadata = (("authorization", f"Bearer {token}"), ("client_id", "knock"))
    try:
        stub.ClusterInfo(ping, timeout=20, metadata=metadata)
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "OK"


if __name__ == "__main__":
    answer = main(*sys.argv[1:])
    sys.stdout.write(f"{answer}\n")
    sys.exit(answer.startswith("UNAUTHENTICATED"))
