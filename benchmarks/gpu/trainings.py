"""The trainings that are measured: synthetic images, settings for them, and a step's time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from ffl_ray.bench.stepping import endless
from ffl_ray.config.methods import resolved_from, with_reachable_objective
from ffl_ray.config.settings import DataConfig, ResolvedConfig, ResolvedDistill
from ffl_ray.data.batches import Batch
from ffl_ray.data.dataset import DatasetInfo, Images, Labels
from ffl_ray.data.user_dataset import SplitName, data_set
from ffl_ray.distill.terms import Term, cross_entropies
from ffl_ray.models.network import NetworkOutput
from ffl_ray.planning.throughput import StepTimer
from ffl_ray.training.session import Report
from ffl_ray.training.setup import Training, prepared
from ffl_ray.training.worker import run_worker

Figures = Iterator[tuple[str, Any]]
WARM_STEPS = 8


class Bench(NamedTuple):
    """What is measured, and how often.

    Attributes:
        mix: of the networks.
        data, few: functions of this module; the second for short trainings.
        rounds: of whatever is repeated; a median is taken.
        counts: of trainings at once, and of branches.
    """

    device: torch.device
    mix: str
    data: str
    few: str
    batch: int
    rounds: int
    counts: tuple[int, ...]

    @classmethod
    def of(cls, device: str, rounds: int) -> Bench:
        """The check's own on a GPU; on a CPU the smallest that goes the same ways."""
        if device == "cuda":
            gpu = torch.device("cuda", 0)
            return cls(gpu, "2*resnet32", "images", "few", 128, rounds, (1, 2, 4, 8))
        return cls(torch.device("cpu"), "2*resnet8", "tiny", "tiny", 32, rounds, (1, 2))

    @staticmethod
    def of_this(name: str) -> str:
        """Code of this module, as settings name it."""
        return f"{__name__}:{name}"

    @property
    def small(self) -> str:
        """The data of short trainings."""
        return self.of_this(self.few)

    def config(self, **changes: Any) -> ResolvedConfig:
        """A training's settings; in a change's name two underscores stand for the dot."""
        settings = {
            "data.name": self.of_this(self.data),
            "model.mix": self.mix,
            "optim.batch_size": self.batch,
            "optim.epochs": 2,
        }
        changes = {name.replace("__", "."): value for name, value in changes.items()}
        return with_reachable_objective(resolved_from(settings | changes))

    def session(self) -> Kept:
        """A process that measures, with one thread: a GPU needs no more."""
        return Kept(1, self.device)

    @contextmanager
    def training(self, **changes: Any) -> Iterator[Training]:
        """A training made ready."""
        with prepared(self.config(**changes), self.session()) as training:
            yield training

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def timed_ms(self, do: Callable[[], Any], times: int) -> float:
        """Milliseconds of one of some calls, all their work done; the least of the rounds."""
        taken = []
        for _ in range(self.rounds):
            self.synchronize()
            started = time.perf_counter()
            for _ in range(times):
                do()
            self.synchronize()
            taken.append((time.perf_counter() - started) / times * 1000)
        return min(taken)


class Kept(StepTimer):
    """A session that keeps what a training stores and reports, in memory."""

    def __init__(self, num_threads: int, device: torch.device) -> None:
        super().__init__(num_threads, device)
        self.latest = b""
        self.rows: list[dict[str, Any]] = []

    def write(self, name: str, data: bytes) -> None:
        if name == "latest.pt":
            self.latest = data

    def report(self, report: Report) -> None:
        self.rows.append(report.row)


def trained(bench: Bench, **changes: Any) -> Kept:
    """A whole training, and what it kept."""
    session = bench.session()
    run_worker(bench.config(**changes), session)
    return session


def batches_of(training: Training) -> Callable[[], Batch]:
    """What gives a training's next batch, for ever."""
    return endless(training).__next__


def whole_batches(bench: Bench, training: Training, count: int) -> Callable[[], Batch]:
    """A few whole batches, over and over: to time steps and not what makes batches."""
    kept = [
        b for b in itertools.islice(endless(training), 4 * count) if b.global_size == bench.batch
    ]
    return itertools.cycle(kept[:count]).__next__


def synthetic(side: int, classes: int, per_class: int) -> Callable[..., Images]:
    """A data set of random images in which each class has a tint of its own."""
    names = tuple(map(str, range(classes)))
    info = DatasetInfo(names, (0.5,) * 3, (0.25,) * 3, crop_padding=side // 8, flip=True)

    @data_set((3, side, side), info)
    def opened(settings: DataConfig, split: SplitName) -> Images:
        generator = torch.Generator().manual_seed(int(split == "test"))
        labels = torch.arange(classes).repeat(per_class)
        shape = (len(labels), side, side, 3)
        pixels = torch.randint(0, 128, shape, dtype=torch.uint8, generator=generator)
        tints = torch.randint(0, 128, (classes, 3), dtype=torch.uint8, generator=generator)
        return Images(pixels + tints[labels][:, None, None], labels)

    return opened


images = synthetic(32, 100, 500)
few = synthetic(32, 100, 10)
large = synthetic(224, 10, 100)
tiny = synthetic(8, 10, 12)


def asking(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """A method that reads the device in every step, and so can't be recorded."""
    terms = cross_entropies(output, labels, settings)
    return terms if float(output.ensemble.detach().sum()) < float("inf") else {}
