"""All figures of a GPU in one run: `python -m benchmarks.gpu DATA CLONE --out DIR`.

It needs torch and torchvision alone (the core trains without Ray): images per second against the
authors' program in their float32 and against our own, the share of the GPU's peak, the minutes of
300 epochs of CIFAR-100, images per second of 1, 2, 4 and 8 trainings that share the GPU, and the
rate of streamed JPEGs of ImageNet's size. On a machine without a GPU it measures the CPU in the
same way (`--seconds 1 --rounds 1` to try it).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import show
from benchmarks.compare import __main__ as compare
from benchmarks.compare.measuring import MEASURES
from ffl_ray.bench.stepping import Stepper, our_stepper
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.planning.throughput import StepTimer
from ffl_ray.training.session import Report
from ffl_ray.training.worker import run_worker

COUNTS = (1, 2, 4, 8)
EPOCHS = 300
TIMED_EPOCHS = 3


def against_authors(args: argparse.Namespace) -> dict[str, Any]:
    """`compare train`: the authors' program, against our default and against float32."""
    found = {}
    for name, precision in (("default", "auto"), ("float32", "float32")):
        options = compare.parser().parse_args(
            [
                "train", "--rounds", str(args.rounds), "--seconds", str(args.seconds),
                "--data-dir", args.data, "--against", args.clone, "--operators", "12",
                "--set", "data.name=cifar100", "--set", "model.mix=2*resnet32",
                "--set", f"compute.precision={precision}",
            ]
        )  # fmt: skip
        outcome = MEASURES["train"](options)
        found[name] = {figure.name: figure.value for figure in outcome.figures}
        for line in (outcome.title, *outcome.lines):
            show(line)
    return found


class Timed(StepTimer):
    """A session that keeps the seconds of its epochs."""

    def __init__(self) -> None:
        super().__init__(torch.get_num_threads(), None)
        self.epochs_s: list[float] = []

    def report(self, report: Report) -> None:
        self.epochs_s.append(report.row["epoch_s"])


def minutes_of_a_run(config: ResolvedConfig, epochs: int) -> dict[str, float]:
    """Minutes of a 300-epoch run, from the median of a few epochs after the first."""
    session = Timed()
    run_worker(with_overrides(config, {"optim.epochs": epochs}), session)
    middle = statistics.median(session.epochs_s[1:] or session.epochs_s)
    return {"epoch_s": middle, "minutes_of_300_epochs": middle * EPOCHS / 60}


def shared(config: Config, seconds: float, epochs_planned: int, images: int) -> dict[str, Any]:
    """Images a second, and trials an hour, of trainings side by side, by their count."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in COUNTS:
            threads = max(1, torch.get_num_threads() // count)
            sides = [
                our_stepper("ours", flatten(config), Path(folder), workers=1, threads=threads)
                for _ in range(count)
            ]
            steps = together(sides, [3] * count) and together(sides, [3] * count)
            share = max(2, round(3 * seconds / max(steps)))
            taken = together(sides, [share] * count)
            for side in sides:
                side.close()
            rate = sum(share * config.optim.batch_size / one for one in taken)
            hours = epochs_planned * images / rate / 3600
            found[str(count)] = {"images_per_s": rate, "trials_per_hour": 1 / hours}
            show(f"{count} at once: {rate:,.0f} images/s")
    return found


def together(sides: list[Stepper], steps: list[int]) -> list[float]:
    """Seconds of each, all at the same time."""
    with ThreadPoolExecutor(len(sides)) as pool:
        return list(pool.map(Stepper.seconds, sides, steps))


def streamed(args: argparse.Namespace) -> dict[str, Any]:
    """`compare input`: files, loader processes, and which side waits."""
    options = compare.parser().parse_args(["input", "--rounds", str(args.rounds)])
    return {figure.name: figure.value for figure in MEASURES["input"](options).figures}


def main() -> None:
    """Measure one thing after the other; each is written as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="folder that holds cifar-100-python")
    parser.add_argument("clone", help="of Jangho-Kim/FFL-pytorch")
    parser.add_argument("--out", default="benchmarks/out/gpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the images, to try it")
    args = parser.parse_args()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    settings = {"data.name": "cifar100", "data.dir": args.data, "data.fraction": args.fraction}
    config = resolved_from(settings | {"model.mix": "2*resnet32"})
    images = round(45_000 * args.fraction)
    measures: dict[str, Callable[[], Any]] = {
        "against_authors": lambda: against_authors(args),
        "run": lambda: minutes_of_a_run(config, TIMED_EPOCHS),
        "shared": lambda: shared(config, args.seconds, EPOCHS, images),
        "streamed": lambda: streamed(args),
    }
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    found: dict[str, Any] = {"device": device, "torch": torch.__version__}
    for name, measure in measures.items():
        started = time.perf_counter()
        try:
            found[name] = measure()
        except Exception as error:
            found[name] = {"error": f"{type(error).__name__}: {error}"}
        found[f"{name}_took_s"] = time.perf_counter() - started
        (out / "gpu.json").write_text(json.dumps(found, indent=1))
        show(f"{name}: {json.dumps(found[name])}")


if __name__ == "__main__":
    main()
