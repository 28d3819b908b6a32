"""A gate at which tasks on Ray wait for each other; who is there loads no torch for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ray


class Gate:
    """An actor that opens once enough have come."""

    def __init__(self, count: int) -> None:
        self._missing = count
        self._open = asyncio.Event()

    async def wait(self) -> None:
        """Come, and wait for the others."""
        self._missing -= 1
        if self._missing <= 0:
            self._open.set()
        await self._open.wait()


def call_at_gate(gate: Any, function: Callable[..., float], args: tuple[Any, ...]) -> float:
    """What a function gives that may wait at the gate."""
    return function(lambda: ray.get(gate.wait.remote()), *args)
