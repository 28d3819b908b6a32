"""What `bench input` compares; each side gives its images per second."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

import torch

from ffl_ray.config.image_shapes import image_side
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.data.batches import Batch, EpochRequest, augmentation_of
from ffl_ray.data.dataset import DatasetInfo, Files
from ffl_ray.data.loader import load_final
from ffl_ray.data.streaming.decode import random_square
from ffl_ray.data.streaming.pool import LoaderPool
from ffl_ray.data.streaming.stream import StreamedImages
from ffl_ray.planning.throughput import StepTimer
from ffl_ray.training.setup import Training, choose_device, prepare
from ffl_ray.training.steps import train_on

Beside = Callable[["InputSides", int], Mapping[str, Callable[[], float]]]
STEP_BUDGET_S = 2.0
MOST_PER_STEP = {"cpu": 8}


class InputSides:
    """The sides, with their loader processes: warm before the first round, gone afterwards.

    Args:
        num_images: that one measurement takes.
        counts: of loader processes.
    """

    def __init__(self, config: ResolvedConfig, num_images: int, counts: list[int]) -> None:
        self.config = config
        self.device = choose_device(config, StepTimer(1, None))
        self._data = load_final(config.data)
        train = self._data.train
        assert isinstance(train, Files)
        self.files = train.take(torch.arange(min(num_images, len(train))))
        self._pools = {count: LoaderPool(count, trivial=self.trivial) for count in counts}
        self._training: Training | None = None

    @property
    def trivial(self) -> bool:
        """Whether TrivialAugment is applied."""
        return self.config.data.augment == "trivial"

    @property
    def info(self) -> DatasetInfo:
        """Classes, mean and deviation of the images."""
        return self._data.info

    def __enter__(self) -> InputSides:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in self._pools.values():
            pool.close()
        if self._training is not None:
            self._training.pool.close()

    @property
    def about(self) -> str:
        """What was measured, in a line."""
        size = image_side(self.config.data)
        num_bytes = sum(Path(self.files.shown(i)).stat().st_size for i in range(len(self.files)))
        return (
            f"{len(self.files)} files of {num_bytes / len(self.files) / 1000:.0f} kB as {size}x"
            f"{size} on {self.device.type}, batches of {self.config.optim.batch_size}; step of "
            f"{'+'.join(self.config.model.mix)}"
        )

    def table(self, *, step: bool, beside: Beside) -> dict[str, Callable[[], float]]:
        """Every side by name, warm.

        Args:
            step: measure the training step too.
            beside: sides that come right after ours of so many processes.
        """
        sides: dict[str, Callable[[], float]] = {"read": self._read, "decode": self._decode}
        for count in self._pools:
            sides[f"stream_{count}"] = functools.partial(self._stream, count)
            sides |= beside(self, count)
        if step:
            sides["step"] = self._step
        for side in sides.values():
            side()
        return sides

    def _read(self) -> float:
        started = time.perf_counter()
        for index in range(len(self.files)):
            Path(self.files.shown(index)).read_bytes()
        return len(self.files) / (time.perf_counter() - started)

    def _decode(self) -> float:
        started = time.perf_counter()
        for index in range(len(self.files)):
            random_square(self.files.source(index), self.files.size, index, flip=True)
        return len(self.files) / (time.perf_counter() - started)

    def _stream(self, count: int) -> float:
        images = StreamedImages(self.files, self.info, self.device, self._pools[count])
        batches = images.train_batches(
            EpochRequest(
                batch_size=self.config.optim.batch_size,
                seed=0,
                epoch=0,
                augmentation=augmentation_of(self.config.data),
            )
        )
        return self.rate(batch.num_images for batch in batches)

    def _step(self) -> float:
        """The training step on one batch that is there already."""
        if self._training is None:
            threads = torch.get_num_threads()
            self._training = prepare(self.config, StepTimer(threads, self.device))
        training = self._training
        batch = self._batch()
        started = time.perf_counter()

        def until_budget() -> Iterator[Batch]:
            while time.perf_counter() - started < STEP_BUDGET_S:
                yield batch

        done = train_on(training, until_budget(), distill_weight=1.0)
        return done.images / (time.perf_counter() - started)

    def _batch(self) -> Batch:
        size = self.config.optim.batch_size
        size = min(size, MOST_PER_STEP.get(self.device.type, size))
        views, side = self.config.num_views, self.files.size
        images = torch.randn(views * size, 3, side, side, device=self.device)
        images = images.contiguous(memory_format=torch.channels_last)
        if views > 1:
            images = images.view(views, size, 3, side, side)
        labels = torch.arange(size, device=self.device) % len(self.info.classes)
        return Batch(images, labels, size)

    def rate(self, sizes: Iterable[int]) -> float:
        """Images a second of batches of these sizes, all the device's work done."""
        started = time.perf_counter()
        total = sum(sizes)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return total / (time.perf_counter() - started)
