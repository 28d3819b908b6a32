"""What an epoch of every method costs beside independent branches: for docs/methods.md.

    python -m benchmarks.method_costs --data-dir DATA

CPU seconds of whole epochs as a training takes them (steps, phases, hooks, validation) on
CIFAR-100 at 16x16, one thread; the methods take turns, an epoch each, and of each the median
counts. As published, and with all stages but the last shared where a method may share them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from statistics import median

import pandas as pd
import torch

from benchmarks.common import ended
from benchmarks.methods import BASELINE, SHARED, WAYS
from ffl_ray.config.methods import (
    METHODS,
    mix_of_method,
    resolved_from,
    with_reachable_objective,
)
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.planning.throughput import StepTimer
from ffl_ray.training.resume import resume
from ffl_ray.training.setup import prepared
from ffl_ray.training.worker import run_epoch

AS_PUBLISHED, EQUAL = WAYS

Cell = tuple[str, str]


def config_of(method: str, branches: int, backbone: str, **named: object) -> ResolvedConfig:
    """A method on branches of one backbone, each deeper than the last where it trains a ladder.

    Args:
        named: settings by name, with __ for a dot.
    """
    mix = mix_of_method(METHODS[method], backbone, branches)
    settings: dict[str, object] = {"model.mix": mix, "distill.method": method}
    settings |= {name.replace("__", "."): value for name, value in named.items()}
    return with_reachable_objective(resolved_from(settings))


def configs(options: argparse.Namespace) -> dict[Cell, ResolvedConfig]:
    """Every method as published and, where it may, at equal sharing."""
    named: dict[str, object] = {
        "data__name": "cifar100",
        "data__dir": options.data_dir,
        "data__image_size": 16,
        "data__fraction": options.fraction,
        "optim__epochs": options.rounds + 1,
    }
    found = {}
    for name, method in METHODS.items():
        own = config_of(name, options.branches, options.backbone, **named)
        found[name, AS_PUBLISHED] = own
        if method.may_share and own.model.trunk_stages != SHARED:
            shared = named | {"model__trunk_stages": SHARED}
            found[name, EQUAL] = config_of(name, options.branches, options.backbone, **shared)
    return found


class Epochs:
    """A training whose epochs are taken one by one, by one thread.

    Args:
        left: ends it.

    Attributes:
        progress: after the epochs so far.
    """

    def __init__(self, config: ResolvedConfig, left: ExitStack) -> None:
        self._session = StepTimer(1, torch.device("cpu"))
        self._training = left.enter_context(prepared(config, self._session))
        self.progress = resume(self._training, self._session)

    def __call__(self) -> None:
        """Train one more."""
        self.progress = run_epoch(self._training, self.progress, self._session.write)


def cpu_seconds(epochs: Mapping[Cell, Callable[[], None]], rounds: int) -> dict[Cell, float]:
    """The median CPU seconds of an epoch of each, after one that is not counted."""
    found: dict[Cell, list[float]] = {cell: [] for cell in epochs}
    for _ in range(rounds + 1):
        for cell, epoch in epochs.items():
            started = time.process_time()
            epoch()
            found[cell].append(time.process_time() - started)
    return {cell: median(seconds[1:]) for cell, seconds in found.items()}


def rows(seconds: Mapping[Cell, float]) -> Iterator[dict[str, str]]:
    """A row for each method, in times of independent branches that share nothing."""
    unit = seconds[BASELINE, AS_PUBLISHED]
    for name in dict.fromkeys(method for method, _ in seconds):
        ratios = {way: seconds[name, way] / unit for way in WAYS if (name, way) in seconds}
        yield {"method": f"`{name}`"} | {
            way: f"{ratios[way]:.2f}" if way in ratios else "" for way in WAYS
        }


def main() -> None:
    """Measure them all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", required=True, help="folder with the files of CIFAR-100")
    parser.add_argument("--backbone", default="resnet8", help="of every branch")
    parser.add_argument("--branches", type=int, default=3, help="of every method")
    parser.add_argument("--fraction", type=float, default=0.05, help="of the images")
    parser.add_argument(
        "--rounds", type=int, default=5, help="epochs of each method, of which the median counts"
    )
    options = parser.parse_args()
    with ExitStack() as left:
        epochs = {cell: Epochs(config, left) for cell, config in configs(options).items()}
        seconds = cpu_seconds(epochs, options.rounds)
    table = pd.DataFrame(rows(seconds))
    print(table.to_markdown(index=False, disable_numparse=True))  # noqa: T201


if __name__ == "__main__":
    ended(main)
