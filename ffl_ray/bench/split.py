"""Where the time of a training step goes, phase by phase and operator by operator."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from ffl_ray.data.batches import Batch
from ffl_ray.training.setup import Training
from ffl_ray.training.steps import epoch_step, step_of

PHASES = ("input", "forward", "backward", "optimizer")


class Operator(NamedTuple):
    """An operator of torch: its share of the steps' time, and its calls in a step."""

    name: str
    share: float
    calls: float


class _Clock:
    """Time at the borders of phases: on a GPU the GPU's own, which the host does not wait for."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._marks: list[float | torch.cuda.Event] = []

    def mark(self) -> None:
        if self._on_gpu:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def between(self) -> list[float]:
        """Seconds from each mark to the next."""
        if self._on_gpu:
            torch.cuda.synchronize()
        return [_seconds(a, b) for a, b in zip(self._marks, self._marks[1:], strict=False)]


def _seconds(first: float | torch.cuda.Event, second: float | torch.cuda.Event) -> float:
    if isinstance(first, torch.cuda.Event):
        assert isinstance(second, torch.cuda.Event), "marks of one clock are alike"
        return float(first.elapsed_time(second)) / 1000
    assert isinstance(second, float), "marks of one clock are alike"
    return second - first


def split_seconds(training: Training, batches: Iterator[Batch], steps: int) -> dict[str, float]:
    """Seconds of each phase of a step, mean over some, each step taken one kernel at a time."""
    step = step_of(training, distill_weight=1.0)
    training.network.train()
    clock = _Clock(training.train.device)
    clock.mark()
    for _ in range(steps):
        batch = next(batches)
        clock.mark()
        loss = step.forward(batch)
        clock.mark()
        step.backward(loss)
        clock.mark()
        step.update()
        clock.mark()
    passed = clock.between()
    return {phase: sum(passed[i :: len(PHASES)]) / steps for i, phase in enumerate(PHASES)}


def host_wait_seconds(training: Training, batches: Iterator[Batch], steps: int) -> float:
    """Seconds a step that the host has nothing to do but wait for the device; 0 on a CPU."""
    if training.train.device.type == "cpu":
        return 0.0
    step = epoch_step(training, distill_weight=1.0)
    training.network.train()
    torch.cuda.synchronize()
    for _ in range(steps):
        step.run(next(batches))
    started = time.perf_counter()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps


def operators(training: Training, batches: Iterator[Batch], steps: int) -> list[Operator]:
    """The operators that took most time in some steps, the dearest first."""
    on_gpu = training.train.device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_gpu]
    step = step_of(training, distill_weight=1.0)
    training.network.train()
    with _quiet(), profile(activities=kinds) as profiler:
        for _ in range(steps):
            step.run(next(batches))
    found = profiler.key_averages()
    times = [e.self_device_time_total if on_gpu else e.self_cpu_time_total for e in found]
    total = sum(times)
    rows = [Operator(e.key, t / total, e.count / steps) for e, t in zip(found, times, strict=True)]
    return sorted(rows, key=lambda row: -row.share)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the profiler's own lines, which it writes to the process's standard error."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
