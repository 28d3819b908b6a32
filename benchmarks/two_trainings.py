"""Two trainings at once, and one beside a busy core: images/s by how threads wait for each other.

`python -m benchmarks.two_trainings`; digits, two ResNet-20 branches. Threads of OpenMP wait as they
do by themselves ("spinning"), or as every command has them ("passive"). The sides of a round follow
each other, so that other work on the machine meets them alike: read the ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import psutil

from benchmarks.common import ended, show
from ffl_ray.bench.stepping import Stepper, our_stepper
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import flatten
from ffl_ray.planning.layout import PASSIVE_WAITING, available_cpus
from ffl_ray.planning.spare_cpus import idle_cpus

BATCH = 64
SETTINGS = {"model.mix": "2*resnet20", "optim.batch_size": BATCH, "compute.measure_latency": False}
SPINNING, PASSIVE = "spinning", "passive"
BESIDE = "one beside a busy core"
FEWER = "one beside a busy core, with a thread less"
# By name: trainings at once, threads less than CPUs of each, busy cores.
SITUATIONS = {
    "one alone": (1, 0, 0),
    "two at once": (2, 0, 0),
    BESIDE: (1, 0, 1),
    FEWER: (1, 1, 1),
}
OF_OPENMP = (*PASSIVE_WAITING, "KMP_BLOCKTIME")


def trainings(folder: Path, waiting: str, threads: int, count: int) -> list[Stepper]:
    """So many trainings of so many threads each, which wait for each other in this way."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_OPENMP}
    settings = flatten(resolved_from(SETTINGS))
    with patch.dict(os.environ, kept | (PASSIVE_WAITING if waiting == PASSIVE else {}), clear=True):
        return [
            our_stepper(f"{waiting} {number}", settings, folder, workers=1, threads=threads)
            for number in range(count)
        ]


def images_per_s(steppers: Sequence[Stepper], seconds: float) -> float:
    """Images a second of trainings that step at the same time, added up."""

    def rate(stepper: Stepper) -> float:
        started, images = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - started) < seconds or not images:
            stepper.seconds(2)
            images += 2 * BATCH
        return images / elapsed

    with ThreadPoolExecutor(len(steppers)) as pool:
        return sum(pool.map(rate, steppers))


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """A block during which so many processes do nothing but count."""
    others = [subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def measured(rounds: int, seconds: float, cpus: int) -> dict[tuple[str, str], list[float]]:
    """Images a second by round, of each situation and way of waiting, which take turns."""
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sides = {
            (name, waiting): (
                [
                    stack.enter_context(one)
                    for one in trainings(Path(folder), waiting, cpus - spared, count)
                ],
                busy,
            )
            for name, (count, spared, busy) in SITUATIONS.items()
            for waiting in (SPINNING, PASSIVE)
        }
        for steppers, _ in sides.values():
            images_per_s(steppers, 0)
        for _ in range(rounds):
            for side, (steppers, busy) in sides.items():
                with busy_cores(busy):
                    found.setdefault(side, []).append(images_per_s(steppers, seconds))
    return found


def times(after: Sequence[float], before: Sequence[float]) -> str:
    """How many times as fast, by the median of each round's ratio."""
    return f"{statistics.median(b / a for a, b in zip(before, after, strict=True)):.2f}"


def main() -> None:
    """Measure round by round, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each side in a round")
    args = parser.parse_args()
    cpus, load = available_cpus(), psutil.getloadavg()[0]
    if cpus < 2:
        parser.error("two threads take two CPUs")
    show(f"{cpus} CPUs, {idle_cpus()} of them idle, load over the last minute {load:.1f}")
    found = measured(args.rounds, args.seconds, cpus)
    for name in SITUATIONS:
        before, after = found[name, SPINNING], found[name, PASSIVE]
        spinning, passive = statistics.median(before), statistics.median(after)
        show(
            f"{name}: spinning {spinning:.0f}, passive {passive:.0f} images/s: "
            f"{times(after, before)} times"
        )
    now, then = found[FEWER, PASSIVE], found[BESIDE, SPINNING]
    show(f"{BESIDE}, as a command starts there over all threads spinning: {times(now, then)} times")


if __name__ == "__main__":
    ended(main)
