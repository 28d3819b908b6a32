"""Recording of a computation as a CUDA graph: done a few times, watched, captured, replayed."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.torch_version import TorchVersion

from ffl_ray.data.batches import Batch
from ffl_ray.training.turns import new_stream

WARM_UP_STEPS = 3
WAITS = "synchronizing CUDA operation"
# Older ones leave the allocator capturing when a capture fails: torch.cuda.empty_cache, with which
# every capture begins, fails in this process from then on (pytorch/pytorch#180395).
UNWINDS_SINCE = "2.13"
LOG = logging.getLogger(__name__)
ONE_CAPTURE = threading.Lock()


def start_afresh(device: torch.device) -> None:
    """Have a GPU forget the training before.

    Nothing may be asked of a GPU's memory before this process has a context on it.
    """
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.set_device(device)
        empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def empty_cache() -> None:
    """Give back what a GPU's allocator keeps; after a failed capture an older one can't."""
    if not Captures.left_capturing:
        torch.cuda.empty_cache()


class Captures:
    """Captures of one training: what may be recorded, where, and what was refused.

    Args:
        device: the GPU, on which this process has a context.
        allowed: whether anything may be recorded.

    Attributes:
        refusals: what is not recorded, and why.
    """

    left_capturing: ClassVar[bool] = False

    def __init__(self, device: torch.device, *, allowed: bool) -> None:
        self.device = device
        self.allowed = allowed
        self.refusals: dict[str, str] = {}
        self._stream = new_stream(device)
        self._pool: Any = None

    def may_record(self, what: str) -> bool:
        """Whether it is worth a try."""
        return self.allowed and not Captures.left_capturing and what not in self.refusals

    def refuse(self, what: str, why: object) -> None:
        """Give up recording something, and say so."""
        self.refusals[what] = str(why)
        LOG.warning(
            "%s is not recorded as a CUDA graph, and small networks train slower: %s", what, why
        )

    def capture(self, compute: Callable[[Batch], Tensor], batch: Batch) -> Graph:
        """A computation as a graph; a failed capture has computed nothing.

        Raises:
            RuntimeError: CUDA refuses, or its memory ends.
        """
        graph = torch.cuda.CUDAGraph()
        batch = batch.cloned()
        # A capture that fails may leave its own stream behind as the current one.
        here = torch.cuda.stream(torch.cuda.current_stream(self.device))
        # Other threads (of a data loader, of NCCL) may go on calling CUDA meanwhile.
        captured = torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        )
        try:
            with ONE_CAPTURE, here, captured:
                found = compute(batch)
        except RuntimeError:
            Captures.left_capturing = TorchVersion(torch.__version__) < UNWINDS_SINCE
            raise
        self._pool = self._pool or graph.pool()
        return Graph(graph, batch, found)


class Graph:
    """A recorded computation on a batch of its own, which every replay fills first."""

    def __init__(self, graph: torch.cuda.CUDAGraph, batch: Batch, found: Tensor) -> None:
        self._graph, self._batch, self._found = graph, batch, found

    def close(self) -> None:
        """Give up the recorded kernels and their memory."""
        self._graph.reset()

    def replay(self, batch: Batch) -> Tensor:
        """The computation's result for another batch."""
        self._batch.fill(batch)
        self._graph.replay()
        # The next replay writes into the same memory.
        return self._found.clone()


class Recording:
    """A computation on batches: done a few times, watched, and from then on replayed.

    The batches of one size are recorded, the largest; an epoch's last one may be smaller.

    Args:
        what: its name in the log.
        compute: gives a batch's sums, and does the same on the host each time.
        tunes: kernels are chosen by measuring them.
    """

    def __init__(
        self,
        captures: Captures,
        what: str,
        compute: Callable[[Batch], Tensor],
        *,
        tunes: bool = False,
    ) -> None:
        self.replays = 0
        self._captures, self._what, self._compute, self._tunes = captures, what, compute, tunes
        self._shapes: tuple[int, torch.Size, torch.Size] | None = None
        self._graph: Graph | None = None
        self._done = 0

    def run(self, batch: Batch) -> Tensor:
        """The batch's sums."""
        shapes = (batch.global_size, batch.images.shape, batch.labels.shape)
        if self._shapes is None or shapes[0] > self._shapes[0]:
            self._shapes, self._done, self._graph = shapes, 0, None
        whole = shapes == self._shapes
        torch.backends.cudnn.benchmark = self._tunes and whole
        try:
            return self._run_whole(batch) if whole else self._compute(batch)
        finally:
            torch.backends.cudnn.benchmark = False

    def close(self) -> None:
        """Let go the graph, if there is one; the next steps are not recorded."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None

    def _run_whole(self, batch: Batch) -> Tensor:
        if self._graph is None and self._captures.may_record(self._what):
            self._done += 1
            if self._done == WARM_UP_STEPS:
                return self._watched(batch)
            if self._done > WARM_UP_STEPS:
                self._record(batch)
        if self._graph is None:
            return self._compute(batch)
        self.replays += 1
        return self._graph.replay(batch)

    def _watched(self, batch: Batch) -> Tensor:
        """The sums; a computation in which the host waits for the device is never captured."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                found = self._compute(batch)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        waits = [x for x in caught if WAITS in str(x.message)]
        if waits:
            where = f"{waits[0].filename}, line {waits[0].lineno}"
            self._captures.refuse(self._what, f"the host waits for the GPU in it ({where})")
        return found

    def _record(self, batch: Batch) -> None:
        try:
            self._graph = self._captures.capture(self._compute, batch)
        except RuntimeError as error:
            self._captures.refuse(self._what, error)
