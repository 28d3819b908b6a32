"""Throughput of training, from a second of real steps: seconds per image, by the network's size."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.data.batches import Batch
from ffl_ray.planning.cost import TrainingCost
from ffl_ray.training.engine import train_epoch
from ffl_ray.training.session import Report
from ffl_ray.training.setup import Training, prepared
from ffl_ray.training.steps import epoch_batches, epoch_step
from ffl_ray.training.turns import wait_for

BUDGET_S = 0.4
# Forward multiply-accumulates of a measured step: on one CPU core, a second or two.
MOST_MACS = {"cpu": 4e9, "cuda": 4e12}
WARM_STEPS = {"cpu": 1, "cuda": 8}
# Steps that the host may be ahead of a GPU: else its clock says when they were asked for.
STEPS_AHEAD = 8


class Timed(NamedTuple):
    """A training that was timed.

    Attributes:
        macs: forward multiply-accumulates of an image.
        seconds_per_image: in training.
        memory_bytes: held of the GPU for tensors, what libraries work in and recorded steps among
            them; none on a CPU, and where its batch was cut.
        loss: mean over its first steps, in nats.
    """

    macs: int
    seconds_per_image: float
    memory_bytes: int | None = None
    loss: float = math.nan


class Throughput(NamedTuple):
    """A straight line: seconds that every image takes, and what its multiply-accumulates add."""

    base_s: float
    seconds_per_mac: float

    def seconds_per_image(self, macs: int) -> float:
        """Seconds of one image in a training step: forward, backward and optimiser."""
        return self.base_s + self.seconds_per_mac * macs


class Curve(NamedTuple):
    """Measured trainings of any sizes, and straight lines in the logarithms between them.

    Beyond the dearest time is proportional to its multiply-accumulates; nothing is faster than the
    cheapest.
    """

    timed: Sequence[Timed]

    def seconds_per_image(self, macs: int) -> float:
        """As of `Throughput`."""
        rising = sorted(self.timed, key=_macs_first)
        known, taken = zip(*((one.macs, one.seconds_per_image) for one in rising), strict=True)
        between = float(np.exp(np.interp(np.log(macs), np.log(known), np.log(taken))))
        beyond: float = max(1.0, macs / known[-1])
        return between * beyond


class StepTimer:
    """The session of a process that only measures: nothing is stored or reported."""

    rank = 0
    world_size = 1

    def __init__(self, num_threads: int, device: torch.device | None) -> None:
        self.num_threads = num_threads
        self.device = device

    def read(self, name: str) -> bytes | None:
        return None

    def write(self, name: str, data: bytes) -> None:
        pass

    def report(self, report: Report) -> None:
        pass


def fit(timed: list[Timed]) -> Throughput:
    """The line through the cheapest and the dearest of the measured trainings.

    Neither part is negative: noise may make the dearer one look faster, and then time is taken
    as proportional.
    """
    first, last = min(timed, key=_macs_first), max(timed, key=_macs_first)
    if last.macs > first.macs:
        slope = (last.seconds_per_image - first.seconds_per_image) / (last.macs - first.macs)
        base = first.seconds_per_image - slope * first.macs
        if slope > 0 and base >= 0:
            return Throughput(base, slope)
    total = sum(one.seconds_per_image for one in timed)
    return Throughput(0.0, total / sum(one.macs for one in timed))


def _macs_first(timed: Timed) -> tuple[int, float]:
    return timed.macs, timed.seconds_per_image


def measure(
    configs: list[ResolvedConfig],
    costs: list[TrainingCost],
    num_threads: int,
    device: str,
    budget_s: float = BUDGET_S,
    wait: Callable[[], None] = lambda: None,
) -> list[Timed]:
    """Time real training steps of some configs, on real data, for a budget each, at least one.

    A step's batch is cut where it would take long. The first step is not counted: libraries
    choose their kernels in it. On a GPU the first few are not, and a step is recorded in them.

    Args:
        wait: called when a training is ready and warm, before its budget begins.
    """
    session = StepTimer(num_threads, torch.device(device))
    return [
        _timed(config, cost, session, budget_s, wait)
        for config, cost in zip(configs, costs, strict=True)
    ]


def _timed(
    config: ResolvedConfig,
    cost: TrainingCost,
    session: StepTimer,
    budget_s: float,
    wait: Callable[[], None],
) -> Timed:
    assert session.device is not None, "it is measured on a device of the caller's choice"
    kind = session.device.type
    batch = min(config.optim.batch_size, max(2, int(MOST_MACS[kind] / cost.macs)))
    changes = {"optim.batch_size": batch, "compute.measure_latency": False}
    with prepared(with_overrides(config, changes), session) as training:
        step, batches = epoch_step(training, distill_weight=1.0), _endless(training)
        warm = train_epoch(step, itertools.islice(batches, WARM_STEPS[kind]))
        wait()
        started = time.perf_counter()
        # What it returns is read from the device: all its steps are done by then.
        done = train_epoch(step, _for_seconds(batches, budget_s, session.device))
        seconds = (time.perf_counter() - started) / done.images
        whole = kind == "cuda" and batch == config.optim.batch_size
        held = torch.cuda.max_memory_reserved(session.device) if whole else None
    return Timed(cost.macs, seconds, held, warm.losses["total"])


def _endless(training: Training) -> Iterator[Batch]:
    """A training's batches, one epoch after the other."""
    return itertools.chain.from_iterable(
        epoch_batches(training, epoch) for epoch in itertools.count()
    )


def _for_seconds(
    batches: Iterator[Batch], budget_s: float, device: torch.device
) -> Iterator[Batch]:
    """Batches until a budget is spent on steps that are done, and not only asked for."""
    ends = time.perf_counter() + budget_s
    for number, batch in enumerate(batches, 1):
        yield batch
        if number % STEPS_AHEAD == 0:
            wait_for(device)
        if time.perf_counter() >= ends:
            return
