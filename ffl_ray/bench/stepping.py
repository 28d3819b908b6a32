"""Processes that take training steps when they are told to, so that sides can take turns.

`python -m ffl_ray.bench.stepping JSON` joins as many others as the JSON says, prepares the
training of its settings, and answers each number of steps on stdin as `Stepper` takes it.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch
import torch.distributed as dist

from ffl_ray.config.methods import resolved_from
from ffl_ray.data.batches import Batch
from ffl_ray.errors import SettingError
from ffl_ray.planning.throughput import StepTimer
from ffl_ray.training.setup import Training, choose_device, peak_memory_bytes, prepare
from ffl_ray.training.steps import epoch_batches, train_on


class Stepper:
    """One side: processes that step together.

    Args:
        name: for messages.
        commands: of each process; they answer a number of steps with the seconds these took and
            the most bytes of memory held so far.

    Attributes:
        peak_memory_bytes: of the process that has held most.
    """

    def __init__(self, name: str, commands: list[list[str]]) -> None:
        self._name = name
        self.peak_memory_bytes = 0
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by close
        self._processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
            )
            for command in commands
        ]

    def seconds(self, steps: int) -> float:
        """Seconds of so many steps, from all starting to the last ending.

        Raises:
            SettingError: a process has ended; its last words are shown.
        """
        try:
            for process in self._processes:
                stdin = _open(process.stdin)
                stdin.write(f"{steps}\n")
                stdin.flush()
            lines = [_open(process.stdout).readline() for process in self._processes]
            answers = [tuple(map(float, line.split())) for line in lines]
            self.peak_memory_bytes = max(int(peak) for _, peak in answers)
        except (BrokenPipeError, ValueError) as error:
            self._log.seek(0)
            last = (self._log.read().strip().splitlines() or ["it said nothing"])[-1]
            self.close()
            raise SettingError(f"{self._name} can't be timed: {last}") from error
        return max(seconds for seconds, _ in answers)

    def close(self) -> None:
        """End the processes."""
        self._log.close()
        for process in self._processes:
            process.kill()
            process.wait()
            _open(process.stdin).close()
            _open(process.stdout).close()

    def __enter__(self) -> Stepper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def our_stepper(
    name: str, settings: dict[str, Any], folder: Path, *, workers: int, threads: int
) -> Stepper:
    """A training of this project as a side.

    Args:
        settings: the config, flat.
        folder: where its processes find each other.
        threads: of each worker.
    """
    meeting = folder / f"{len(list(folder.iterdir()))}.store"
    meeting.touch()
    place = {"settings": settings, "meeting": str(meeting), "workers": workers, "threads": threads}
    commands = [
        [sys.executable, "-m", __name__, json.dumps(place | {"rank": rank}, default=str)]
        for rank in range(workers)
    ]
    return Stepper(name, commands)


def endless(training: Training) -> Iterator[Batch]:
    """The training's batches, epoch after epoch."""
    epoch = 0
    while True:
        yield from epoch_batches(training, epoch)
        epoch += 1


def timed_steps(training: Training, batches: Iterator[Batch], steps: int) -> float:
    """Seconds of some steps, all their work done."""
    started = time.perf_counter()
    train_on(training, itertools.islice(batches, steps), distill_weight=1.0)
    return time.perf_counter() - started


def _open(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "it was opened as a pipe"
    return stream


def main() -> None:
    """Prepare the training of the JSON in the command line, and answer numbers of steps."""
    place = json.loads(sys.argv[1])
    torch.set_num_threads(place["threads"])
    config = resolved_from(place["settings"])
    session = StepTimer(place["threads"], None)
    session.rank, session.world_size = place["rank"], place["workers"]
    if session.world_size > 1:
        gpu = choose_device(config, session).type == "cuda"
        if gpu:
            session.device = torch.device("cuda", session.rank)
        dist.init_process_group(
            "nccl" if gpu else "gloo",
            init_method=f"file://{place['meeting']}",
            rank=session.rank,
            world_size=session.world_size,
        )
    training = prepare(config, session)
    batches = endless(training)
    for line in sys.stdin:
        seconds = timed_steps(training, batches, int(line))
        sys.stdout.write(f"{seconds} {peak_memory_bytes(training.train.device)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
