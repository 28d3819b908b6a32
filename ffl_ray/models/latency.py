"""Latency of a member: how long it takes for one image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from ffl_ray.models.network import FusionNetwork

RUNS = 20


def member_latencies(network: FusionNetwork, image_shape: tuple[int, int, int]) -> dict[str, float]:
    """Milliseconds that every member takes for one image where the network lives.

    The median of `RUNS` after a quarter as many to warm up. Trials that share the machine
    slow each other: compare latencies of one study, not of two.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    image = torch.zeros(1, *image_shape, device=device)
    with torch.no_grad():
        found = {
            name: median_ms(lambda name=name: network.member(name, image), device)  # type: ignore[misc]
            for name in network.member_names
        }
    network.train(was_training)
    return found


def median_ms(run: Callable[[], object], device: torch.device) -> float:
    """Median of `RUNS` after a quarter as many to warm up."""
    times = []
    for index in range(RUNS + RUNS // 4):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()
        if index >= RUNS // 4:
            times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000
