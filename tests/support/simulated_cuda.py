"""A GPU without one: its tensors lie in the CPU's memory, and torch.cuda's entry points are noted.

What a test runs under `SimulatedCuda` takes the path of a GPU from device to graph. Its results
are real ones: a capture computes nothing and notes each operator; a replay runs these again, into
the same memory. What CUDA refuses is refused: memory calls before a context, reads by the host
during a capture, what another thread may not do meanwhile, and what torch 2.11 still does wrong
after a capture that failed.
"""

from __future__ import annotations

import functools
import itertools
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch._C._distributed_c10d import Work
from torch.torch_version import TorchVersion
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
READS = {
    aten._local_scalar_dense.default,
    aten._linalg_check_errors.default,
    aten.nonzero.default,
    aten.masked_select.default,
}
# They change running statistics, which their schema does not say.
CHANGES = {aten.native_batch_norm.default: (3, 4)}
MESSAGES = {torch.ops.c10d.allreduce_.default}
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 MiB."


class Tape:
    """The operators of one capture."""

    def __init__(self) -> None:
        self.steps: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor | None]]] = []
        self.inside: set[int] = set()
        self.before: dict[int, tuple[Tensor, Tensor]] = {}

    def record(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operator's result; what it changes is kept as it was."""
        for changed in changed_by(func, args, kwargs):
            key = changed.untyped_storage().data_ptr()
            if key not in self.inside and key not in self.before:
                self.before[key] = (changed, changed.detach().clone())
        given = tensors((args, kwargs))
        ids = {*map(id, given)}
        known = {x.untyped_storage().data_ptr() for x in given}
        found = func(*args, **kwargs)
        made = tensors(found)
        self.inside |= {x.untyped_storage().data_ptr() for x in made} - known
        self.steps.append((func, args, kwargs, [None if id(x) in ids else x for x in made]))
        return found

    @torch.no_grad()
    def end(self) -> None:
        """Nothing was computed: what was there is as before, and what is new holds no number."""
        for changed, value in self.before.values():
            changed.copy_(value)
        made = [x for *_, made in self.steps for x in made if x is not None]
        for x in made:
            if x.is_floating_point() and x.untyped_storage().data_ptr() in self.inside:
                x.fill_(float("nan"))

    @torch.no_grad()
    def replay(self) -> None:
        """Run all operators again, into the memory that they had."""
        for func, args, kwargs, made in self.steps:
            again = func(*args, **kwargs)
            if func in MESSAGES:
                Work.unbox(again[1]).wait()
            for old, new in zip(made, tensors(again), strict=True):
                if old is not None and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def tensors(tree: Any) -> list[Tensor]:
    """All tensors of some arguments or results."""
    if isinstance(tree, Tensor):
        return [tree]
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


@functools.cache
def written(func: Any) -> list[tuple[int, str]]:
    """Places and names of the arguments that an operator writes into by its schema."""
    formal = enumerate(func._schema.arguments)
    return [(i, a.name) for i, a in formal if a.alias_info and a.alias_info.is_write]


def changed_by(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Arguments that an operator writes into."""
    found = [args[i] if i < len(args) else kwargs.get(name) for i, name in written(func)]
    return tensors([*found, *(args[i] for i in CHANGES.get(func, ()))])


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """torch.nn.functional.one_hot."""
    return (labels[:, None] == torch.arange(num_classes)).long()


class Stream:
    """A stream: everything on it is done at once."""

    device = torch.device("cuda", 0)

    def __init__(self, cuda: SimulatedCuda) -> None:
        self._cuda = cuda

    def wait_stream(self, other: Stream) -> None:
        self._cuda.note("wait_stream")

    def wait_event(self, event: Event) -> None:
        self._cuda.note("wait_event")

    def is_capturing(self) -> bool:
        return self._cuda.tape is not None

    def record_event(self, event: Event | None = None) -> Event:
        return event or Event(self._cuda)


class Event:
    """A point on a stream, which the host may wait for."""

    def __init__(self, cuda: SimulatedCuda) -> None:
        self._cuda = cuda

    def query(self) -> bool:
        return False

    def synchronize(self) -> None:
        self._cuda.note("event.synchronize")


class Graph:
    """A CUDA graph on a tape."""

    def __init__(self, cuda: SimulatedCuda) -> None:
        self._cuda = cuda
        self.tape = Tape()

    def pool(self) -> tuple[int, int]:
        return (0, id(self))

    def reset(self) -> None:
        self._cuda.note("reset")

    def replay(self) -> None:
        self._cuda.note("replay")
        if self._cuda.tape is not None:
            raise RuntimeError("Offset increment outside graph capture encountered unexpectedly.")
        self.tape.replay()


class SimulatedCuda(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """One GPU of a fresh process.

    Args:
        version: of torch, whose behaviour after a refused capture is shown.
        memory_ends: every capture runs out of memory.

    Attributes:
        calls: entry points of torch.cuda that were called, in order.
        operators: how many were run.
        last_operator: the one for which memory does not do.
        modes: error mode of each capture.
        convolved: batch sizes of convolutions, and whether their kernels were measured.
        worked_on: streams on which anything was computed.
    """

    def __init__(self, version: str = "2.15", *, memory_ends: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.version = version
        self.memory_ends = memory_ends
        self.calls: list[str] = []
        self.modes: list[str] = []
        self.convolved: set[tuple[int, bool]] = set()
        self.initialised = self.broken = self.watching = self.failed = False
        self.operators, self.last_operator = 0, -1
        self.tape: Tape | None = None
        self.capturing = 0
        self.default_stream = Stream(self)
        # As many as PyTorch has of a GPU, one after the other and again.
        self.pooled_streams = itertools.cycle([Stream(self) for _ in range(32)])
        self.generator = torch.Generator()
        self.worked_on: set[Stream] = set()
        self._of_thread = threading.local()

    @property
    def stream(self) -> Stream:
        """The current one of this thread."""
        stream: Stream = getattr(self._of_thread, "stream", self.default_stream)
        return stream

    @stream.setter
    def stream(self, stream: Stream) -> None:
        self._of_thread.stream = stream

    def note(self, call: str, *, needs_context: bool = True) -> None:
        """A call that came.

        Raises:
            RuntimeError: it needs a context, and there is none.
        """
        self.calls.append(call)
        if needs_context and not self.initialised:
            raise RuntimeError(f"Invalid device argument 0: did you call init? ({call})")

    def init(self) -> None:
        if not self.initialised:
            self.note("init", needs_context=False)
        self.initialised = True

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("device") is not None and kwargs["device"].type == "cuda":
            self.init()
            kwargs["device"] = torch.device("cpu")
        self.operators += 1
        if self.operators == self.last_operator:
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)
        if func in READS and self.watching:
            warnings.warn("called a synchronizing CUDA operation", stacklevel=2)
        if func is aten.convolution.default:
            self.convolved.add((args[0].shape[0], torch.backends.cudnn.benchmark))
        self.worked_on.add(self.stream)
        if self.tape is None or self.capturing != threading.get_ident():
            return func(*args, **kwargs)
        if func in READS:
            self.failed = True
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        if self.memory_ends and len(self.tape.steps) == 10:
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)
        return self.tape.record(func, args, kwargs)

    @contextmanager
    def capture(
        self, graph: Graph, pool: Any = None, stream: Any = None, capture_error_mode: str = "global"
    ) -> Iterator[None]:
        """torch.cuda.graph."""
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        self.modes.append(capture_error_mode)
        before, self.stream, self.failed = self.stream, stream or Stream(self), False
        self.note("capture")
        self.tape, self.capturing = graph.tape, threading.get_ident()
        drawn_from = torch.get_rng_state()
        try:
            yield
        finally:
            self.tape = None
            torch.set_rng_state(drawn_from)  # what a graph draws, it draws as it is replayed
            graph.tape.end()
            if self.failed and self.version == "2.11":
                self.broken = True
                raise RuntimeError("CUDA error: operation failed due to a previous error")
            self.stream = before

    @contextmanager
    def on(self, stream: Stream) -> Iterator[None]:
        """torch.cuda.stream."""
        before, self.stream = self.stream, stream
        try:
            yield
        finally:
            self.stream = before

    def empty_cache(self) -> None:
        self.calls.append("empty_cache")
        if self.broken or self.tape is not None:
            raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")

    def set_device(self, device: torch.device | int) -> None:
        self.init()
        if isinstance(device, torch.device) and device.index is None:
            raise ValueError(f"Expected a torch.device with a specified index, but got:{device}")
        self.note("set_device")

    def synchronize(self, device: Any = None) -> None:
        self.note("synchronize")
        if self.tape is not None:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    def watch(self, mode: str) -> None:
        """torch.cuda.set_sync_debug_mode."""
        self.watching = mode == "warn"

    def entry_points(self) -> dict[str, Any]:
        """By name in torch.cuda."""

        def noted(name: str, result: Any = None) -> Callable[..., Any]:
            def call(*_: Any, **__: Any) -> Any:
                self.note(name)
                return result

            return call

        def lazily(result: Any) -> Callable[..., Any]:
            def call(*_: Any, **__: Any) -> Any:
                self.init()
                return result

            return call

        return {
            "init": self.init,
            "_lazy_init": self.init,
            "is_available": lambda: True,
            "is_initialized": lambda: self.initialised,
            "device_count": lambda: 1,
            "current_device": lazily(0),
            "get_device_capability": lazily((9, 0)),
            "is_bf16_supported": lambda *_: True,
            "is_current_stream_capturing": lambda: (
                self.tape is not None and self.capturing == threading.get_ident()
            ),
            "set_device": self.set_device,
            "empty_cache": self.empty_cache,
            "reset_peak_memory_stats": noted("reset_peak_memory_stats"),
            "max_memory_allocated": noted("max_memory_allocated", 4096),
            "synchronize": self.synchronize,
            "set_sync_debug_mode": self.watch,
            "current_stream": lambda *_: self.stream,
            "stream": self.on,
            "Stream": lambda *_, **__: next(self.pooled_streams),
            "Event": lambda *_, **__: Event(self),
            "CUDAGraph": lambda *_, **__: Graph(self),
            "graph": self.capture,
            "graph_pool_handle": lambda: (0, 1),
            "default_generators": [self.generator],
        }

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have this process call it; its tensors are somebody else's."""
        stand_ins: dict[Any, dict[str, Any]] = {
            torch.cuda: self.entry_points(),
            torch.accelerator: {
                "current_accelerator": lambda *_, **__: torch.device("cuda"),
                "current_stream": lambda: self.stream,
            },
            Tensor: {
                "record_stream": lambda x, stream: self.note("record_stream"),
                "pin_memory": lambda x: x,
            },
            # On a CPU, and there alone, torch's own reads the labels to check them.
            torch.nn.functional: {"one_hot": one_hot},
            torch: {"__version__": TorchVersion(f"{self.version}.0")},
        }
        with ExitStack() as stack:
            for place, named in stand_ins.items():
                for name, stand_in in named.items():
                    stack.enter_context(mock.patch.object(place, name, stand_in))
            yield

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have this process use it, and its tensors."""
        with self.installed(), self.here():
            yield

    @contextmanager
    def here(self) -> Iterator[None]:
        """Have this thread's tensors be of it, where it is installed."""
        with self:
            # As FakeTensorMode does: torch.tensor(device=...) is then an operator like others.
            torch._C._set_only_lift_cpu_tensors(True)
            try:
                yield
            finally:
                torch._C._set_only_lift_cpu_tensors(False)
