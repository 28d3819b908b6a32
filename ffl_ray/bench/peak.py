"""What the machine can do at most: a large matrix product, and a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

SIDE = {"cpu": 2048, "cuda": 8192}
COPY_BYTES = {"cpu": 2**28, "cuda": 2**31}
REPEATS = 5


class Peak:
    """The highest rates of a device.

    Args:
        dtype: of the factors.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        side = SIDE[device.type]
        self._factors = [torch.randn(side, side, device=device).to(dtype) for _ in range(2)]
        self._product = torch.empty_like(self._factors[0])
        self._source = torch.zeros(COPY_BYTES[device.type] // 4, device=device)
        self._target = torch.empty_like(self._source)

    def flops_per_s(self) -> float:
        """Floating-point operations a second of a square matrix product: the best of a few."""
        left, right = self._factors
        seconds = self._least(lambda: torch.matmul(left, right, out=self._product))
        return float(2 * left.shape[0] ** 3 / seconds)

    def copied_bytes_per_s(self) -> float:
        """Bytes a second that a copy reads, and as many that it writes: the best of a few."""
        return self._source.nbytes / self._least(lambda: self._target.copy_(self._source))

    def _least(self, run: Callable[[], Tensor]) -> float:
        least = float("inf")
        for _ in range(REPEATS):
            self._wait()
            started = time.perf_counter()
            run()
            self._wait()
            least = min(least, time.perf_counter() - started)
        return least

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
