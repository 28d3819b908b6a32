"""What threads of one process lose to Python's lock: `python -m benchmarks.thread_turns`.

No GPU is needed and none is measured: a stand-in for one has finished a recorded step some time
after it was asked for, one step after the other. The host's side of a step is as on a GPU: the
operators that make a batch are called for as many images as cost no time, a launch works without
Python's lock for as long as a graph of a thousand kernels takes, and two steps may be under way.
Three ways: one thread that takes a step of each training by turns, threads that run freely, and
threads that take turns as the product's do.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import torch

from ffl_ray.data.batches import Batch, EpochRequest
from ffl_ray.data.dataset import DatasetInfo, Images
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.training.turns import Seat, Turns, next_turn, seated, waiting

CPU = torch.device("cpu")


class Device:
    """A GPU that takes the same time for every step, and does one after the other."""

    def __init__(self, step_s: float) -> None:
        self._step_s, self._free_at, self._guard = step_s, 0.0, threading.Lock()

    def ask(self) -> float:
        """When the step that is asked for now is done."""
        with self._guard:
            self._free_at = max(self._free_at, time.perf_counter()) + self._step_s
            return self._free_at


class Training:
    """The host's side of a training."""

    def __init__(self, device: Device, launch: torch.Tensor, seed: int) -> None:
        pixels = torch.zeros(64, 8, 8, 3, dtype=torch.uint8)
        info = DatasetInfo(("a", "b"), (0.5,) * 3, (0.5,) * 3, crop_padding=1, flip=True)
        images = DeviceImages(Images(pixels, torch.zeros(64, dtype=torch.int64)), info, CPU)
        self._device, self._launch = device, launch
        self._batches = self._endless(images, seed)
        self._under_way: deque[float] = deque()
        self.steps = 0

    @staticmethod
    def _endless(images: DeviceImages, seed: int) -> Iterator[Batch]:
        for epoch in itertools.count():
            yield from images.train_batches(EpochRequest(batch_size=2, seed=seed, epoch=epoch))

    def wait(self) -> None:
        """Wait for the step before the last."""
        if len(self._under_way) == 2:
            left = self._under_way.popleft() - time.perf_counter()
            if left > 0:
                with waiting():
                    time.sleep(left)

    def step(self) -> None:
        """Make a batch and ask for a step on it."""
        next(self._batches)
        torch.mm(self._launch, self._launch)
        self._under_way.append(self._device.ask())
        self.steps += 1


def by_one_thread(trainings: list[Training], seconds: float) -> None:
    """A step of each, again and again."""
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        for training in trainings:
            training.wait()
            training.step()


def freely(trainings: list[Training], seconds: float) -> None:
    """A thread each."""
    with ThreadPoolExecutor(len(trainings)) as pool:
        list(pool.map(lambda one: by_one_thread([one], seconds), trainings))


def by_turns(trainings: list[Training], seconds: float) -> None:
    """A thread each, one of which works at a time."""
    turns = Turns()

    def train(training: Training) -> None:
        with seated(Seat(turns), CPU):
            ends = time.perf_counter() + seconds
            while time.perf_counter() < ends:
                training.wait()
                training.step()
                next_turn()

    with ThreadPoolExecutor(len(trainings)) as pool:
        list(pool.map(train, trainings))


def launch_of(seconds: float) -> torch.Tensor:
    """A matrix whose product with itself takes this long on one thread."""
    size, taken = 64, 0.0
    while taken < seconds:
        size += 32
        matrix = torch.zeros(size, size)
        started = time.perf_counter()
        for _ in range(5):
            torch.mm(matrix, matrix)
        taken = (time.perf_counter() - started) / 5
    return torch.zeros(size, size)


def main() -> int:
    """Print steps a second of each way, for several numbers of trainings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step-ms", type=float, default=2.0, help="of the device")
    parser.add_argument("--launch-ms", type=float, default=0.5, help="without Python's lock")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    args = parser.parse_args()
    torch.set_num_threads(1)
    launch = launch_of(args.launch_ms / 1000)
    ways = {"one thread": by_one_thread, "threads": freely, "threads by turns": by_turns}
    for count in (1, 2, 4, 8):
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, way in ways.items():
                device = Device(args.step_ms / 1000)
                trainings = [Training(device, launch, seed) for seed in range(count)]
                way(trainings, args.seconds)
                rates[name].append(sum(one.steps for one in trainings) / args.seconds)
        found = ", ".join(f"{name} {median(all_of):.0f}" for name, all_of in rates.items())
        sys.stdout.write(f"{count} trainings, steps/s: {found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
