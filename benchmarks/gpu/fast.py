"""How fast a GPU is: a step, branches on streams, trainings at once, first steps, input."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.trainings import WARM_STEPS, Bench, Figures, batches_of, whole_batches
from ffl_ray.bench.stepping import Stepper, endless, our_stepper, timed_steps
from ffl_ray.config.overrides import flatten
from ffl_ray.training.checkpoint import dump_checkpoint
from ffl_ray.training.progress import Progress
from ffl_ray.training.setup import Training
from ffl_ray.training.steps import epoch_step, measured, step_of
from ffl_ray.training.turns import Seat, Turns, seated, waiting

STEPS = {"cpu": 2, "cuda": 50}
PROFILED_STEPS = 5
# Has branches run on streams of their own.
STREAMS = "FFL_RAY_BRANCH_STREAMS"


def step(bench: Bench) -> Figures:
    """A step one kernel after the other and recorded, and what comes between epochs."""
    with bench.training() as training:
        eager = _eager_ms(bench, training)
        yield "eager_ms", eager
        yield "eager_images_per_s", bench.batch / eager * 1000
        if bench.device.type == "cuda":
            yield from _kernels(bench, training)
            yield from _recorded(bench, training, eager)
        yield "evaluation_ms", bench.timed_ms(lambda: measured(training, training.val), 1)
        state = (training.network, training.optimizer, Progress())
        yield "checkpoint_ms", bench.timed_ms(lambda: dump_checkpoint(*state), 1)
    for name, changes in _others().items():
        with bench.training(**changes) as training:
            eager = _eager_ms(bench, training)
            yield f"{name}_eager_ms", eager
            if bench.device.type == "cuda":
                yield f"{name}_gain", eager / _replayed_ms(bench, training)


def _others() -> dict[str, dict[str, Any]]:
    return {
        "adamw": {"optim__optimizer": "adamw", "optim__lr": 1e-3},
        "pcl": {"distill__method": "pcl"},
    }


def _eager_ms(bench: Bench, training: Training) -> float:
    taken, batch = step_of(training, 1.0), whole_batches(bench, training, 4)
    training.network.train()
    taken.run(batch())
    return bench.timed_ms(lambda: taken.run(batch()), STEPS[bench.device.type])


def _replayed_ms(bench: Bench, training: Training) -> float:
    """A step as a training takes it, when it has taken a few."""
    taken, batch = epoch_step(training, 1.0), whole_batches(bench, training, 4)
    training.network.train()
    for _ in range(WARM_STEPS):
        taken.run(batch())
    return bench.timed_ms(lambda: taken.run(batch()), STEPS[bench.device.type])


def _recorded(bench: Bench, training: Training, eager_ms: float) -> Figures:
    taken, batch = epoch_step(training, 1.0), whole_batches(bench, training, 4)
    training.network.train()
    first = []
    for _ in range(WARM_STEPS):
        bench.synchronize()
        started = time.perf_counter()
        taken.run(batch())
        bench.synchronize()
        first.append((time.perf_counter() - started) * 1000)
    yield "first_steps_ms", first
    recorded = _replayed_ms(bench, training)
    yield "recorded_ms", recorded
    yield "recorded_images_per_s", bench.batch / recorded * 1000
    yield "recorded_gain", eager_ms / recorded
    yield "capture_ms", max(first[1:]) - recorded


def _kernels(bench: Bench, training: Training) -> Figures:
    """How many kernels a step is, and how long they work."""
    taken, batch = step_of(training, 1.0), whole_batches(bench, training, 4)
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(PROFILED_STEPS):
            taken.run(batch())
        bench.synchronize()
    rows = profiled.key_averages()
    yield "kernels", sum(row.count for row in rows if row.self_device_time_total) / PROFILED_STEPS
    total = sum(row.self_device_time_total for row in rows)
    yield "kernels_ms", total / PROFILED_STEPS / 1000


def branches(bench: Bench) -> Figures:
    """Steps whose branches are on one stream and on their own; convolutions that could be one."""
    backbone = bench.mix.partition("*")[2]
    for count in bench.counts[1:]:
        taken = []
        for streams in ("0", "1"):
            os.environ[STREAMS] = streams
            with bench.training(model__mix=f"{count}*{backbone}") as training:
                taken.append(_replayed_ms(bench, training))
        os.environ[STREAMS] = "0"
        yield f"{count}.ms", taken
        yield f"{count}.gain", taken[0] / taken[1]
    for count in bench.counts[1:]:
        yield f"{count}.grouped_gain", _grouped_gain(bench, count)


def _grouped_gain(bench: Bench, count: int) -> float:
    """Convolutions side by side against one that is grouped."""
    images = torch.randn(bench.batch, 32, 16, 16, device=bench.device)
    whole = images.repeat(1, count, 1, 1).contiguous(memory_format=torch.channels_last)
    single = nn.Conv2d(32, 32, 3, padding=1).to(bench.device)
    grouped = nn.Conv2d(32 * count, 32 * count, 3, padding=1, groups=count).to(bench.device)
    with torch.autocast(bench.device.type, torch.bfloat16), torch.no_grad():
        singles = bench.timed_ms(lambda: [single(images) for _ in range(count)], 50)
        return singles / bench.timed_ms(lambda: grouped(whole), 50)


def together(bench: Bench) -> Figures:
    """Images a second of several trainings, as a multiple of one's."""
    ways = {
        "streams": _rate_of_streams,
        "processes": _rate_of_processes,
        "threads": _rate_of_threads,
    }
    for way, rate in ways.items():
        alone = None
        for count in bench.counts:
            found = rate(bench, count)
            alone = alone or found
            yield f"{way}.{count}.images_per_s", found
            yield f"{way}.{count}", found / alone


def _rate_of_streams(bench: Bench, count: int) -> float:
    """Trainings in this process, each with a graph and a stream of its own, by turns."""
    with ExitStack() as stack:
        turns = []
        for number in range(count):
            training = stack.enter_context(bench.training(seed=number))
            training.network.train()
            on = _stream(bench)
            with on():
                turns.append((on, epoch_step(training, 1.0), batches_of(training)))

        def turn() -> None:
            for on, taken, batch in turns:
                with on():
                    taken.run(batch())

        for _ in range(WARM_STEPS):
            turn()
        return count * bench.batch / bench.timed_ms(turn, STEPS[bench.device.type]) * 1000


def _stream(bench: Bench) -> Any:
    """What makes a stream of its own the current one, again and again."""
    if bench.device.type == "cpu":
        return nullcontext
    stream = torch.cuda.Stream(bench.device)  # type: ignore[no-untyped-call]

    def on() -> AbstractContextManager[Any]:
        return torch.cuda.stream(stream)

    return on


def _rate_of_processes(bench: Bench, count: int) -> float:
    """Trainings in a process each."""
    settings = flatten(bench.config(compute__device=bench.device.type))
    steps = 8 * STEPS[bench.device.type]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sides = [
            stack.enter_context(our_stepper("one", settings, Path(folder), workers=1, threads=1))
            for _ in range(count)
        ]
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(Stepper.seconds, sides, [WARM_STEPS] * count))
            taken = list(pool.map(Stepper.seconds, sides, [steps] * count))
    return sum(steps * bench.batch / seconds for seconds in taken)


def _rate_of_threads(bench: Bench, count: int) -> float:
    """Trainings in threads of this process, by turns, as trials that share one."""
    turns, together = Turns(), threading.Barrier(count, timeout=60)
    steps = 8 * STEPS[bench.device.type]

    def rate(number: int) -> float:
        with seated(Seat(turns), bench.device), bench.training(seed=number) as training:
            batches = endless(training)
            timed_steps(training, batches, WARM_STEPS)
            with waiting():
                together.wait()
            return steps * bench.batch / timed_steps(training, batches, steps)

    def rate_or_end(number: int) -> float:
        try:
            return rate(number)
        except BaseException:
            together.abort()
            raise

    with ThreadPoolExecutor(count) as pool:
        return sum(pool.map(rate_or_end, range(count)))


def first(bench: Bench) -> Figures:
    """Seconds of first steps: libraries load, kernels are chosen."""
    yield "measured_s", _first_s(bench, True)
    for name, choice in (("measured_in_thread_s", True), ("plain_in_thread_s", False)):
        with ThreadPoolExecutor(1) as new_thread:
            yield name, new_thread.submit(_first_s, bench, choice).result()


def _first_s(bench: Bench, measured: bool) -> float:
    with bench.training(data__name=bench.small) as training:
        taken, batch = step_of(training, 1.0), whole_batches(bench, training, 1)()
        training.network.train()
        bench.synchronize()
        before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, measured
        started = time.perf_counter()
        try:
            taken.run(batch)
            bench.synchronize()
        finally:
            torch.backends.cudnn.benchmark = before
        return time.perf_counter() - started


def trivial(bench: Bench) -> Figures:
    """Milliseconds of what makes a batch."""
    for name in ("standard", "trivial"):
        with bench.training(data__augment=name) as training:
            batch = batches_of(training)
            batch()
            yield f"{name}_ms", bench.timed_ms(batch, 5)


def loader(bench: Bench) -> Figures:
    """Images a second that processes decode for a training on files."""
    cpus = len(os.sched_getaffinity(0))
    per_class = 100 if bench.device.type == "cuda" else 4
    with tempfile.TemporaryDirectory() as folder:
        _write_files(Path(folder), per_class)
        for count in (1, 2, 4, 8):
            if count > cpus:
                return
            settings = {
                "data__name": "folder",
                "data__dir": folder,
                "data__image_size": 224,
                "data__val_fraction": 0.25,
                "data__residency": "stream",
                "data__num_loader_processes": count,
                "optim__batch_size": 8,
            }
            with bench.training(**settings) as training:
                batch = batches_of(training)
                batch()
                ms = bench.timed_ms(batch, max(2, per_class // 2))
                yield f"{count}.images_per_s", 8 / ms * 1000
            if bench.device.type == "cpu":
                return


def _write_files(folder: Path, per_class: int) -> None:
    """JPEGs of ImageNet's size, as smooth as photos are."""
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    for name in "abcd":
        (folder / name).mkdir()
        for number in range(per_class):
            pixels = torch.randint(0, 256, (32, 40, 3), dtype=torch.uint8, generator=generator)
            image = Image.fromarray(pixels.numpy()).resize((500, 400))
            image.save(folder / name / f"{number}.jpg", quality=90)
