"""The authors' program of FFL, timed as it is: a process that steps when it is told to.

`python -m benchmarks.compare.authors CLONE DATA DEVICE THREADS` reads numbers of steps, a line
each, and answers as `Stepper` takes it, with the seconds that their `train` took. Their files
are read from the clone and run unchanged but for what names a device or a place: the GPU, the
folder of the data, the download, the run's log. Nothing of them is kept.
"""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ffl_ray.training.setup import peak_memory_bytes

FILES = ("train_FFL.py", "our_network.py", "utils.py", "logger.py")
# Batches that their loader has ready while nobody asks: 4 processes with 2 each.
READY = 8


class Steps:
    """Their loader, cut to the steps that are asked for; its processes go on from call to call."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.batches: Iterator[Any] = iter(loader)
        self.count = 0

    def next(self) -> Any:
        """A batch; after an epoch's last one comes the next epoch's first."""
        batch = next(self.batches, None)
        if batch is None:
            self.batches = iter(self.loader)
            batch = next(self.batches)
        return batch

    def __iter__(self) -> Iterator[Any]:
        return (self.next() for _ in range(self.count))


def module_of(path: Path, changes: dict[str, str], **names: Any) -> types.ModuleType:
    """A module from a file's text with some words replaced, known by the file's name."""
    text = path.read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    module = types.ModuleType(path.stem)
    module.__dict__.update(names, __file__=str(path))
    sys.modules[path.stem] = module
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


def load_program(clone: Path, data: Path, device: str) -> Any:
    """Their program, ready to train, on this device and data."""
    sys.argv = ["train_FFL.py"]
    logger = types.ModuleType("logger")
    logger.SummaryLogger = None  # type: ignore[attr-defined]
    sys.modules["logger"] = logger
    placed = {
        ".cuda()": ".to(DEVICE)",
        "'~/data'": repr(str(data)),
        "download=True": "download=False",
        'torch.device("cuda")': "torch.device(DEVICE_NAME)",
    }
    module_of(clone / "our_network.py", placed)
    module_of(clone / "utils.py", placed, DEVICE=torch.device(device))
    program = module_of(clone / "train_FFL.py", placed, DEVICE_NAME=device)
    program.trainloader = Steps(program.trainloader)  # type: ignore[attr-defined]
    return program


def main() -> None:
    """Answer each number of steps on stdin with seconds on stdout."""
    clone, data, device, threads = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(int(threads))
    program = load_program(Path(clone), Path(data), device)
    for line in sys.stdin:
        steps = program.trainloader
        for _ in range(READY):
            steps.next()
        steps.count = int(line)
        started = time.perf_counter()
        program.train(program.model, program.module, 0)
        seconds = time.perf_counter() - started
        answers.write(f"{seconds} {peak_memory_bytes(torch.device(device))}\n")
        answers.flush()


if __name__ == "__main__":
    main()
