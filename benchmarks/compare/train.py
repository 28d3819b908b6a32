"""`compare train`: the authors' whole program, by turns with our training."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.compare.authors import FILES
from ffl_ray.bench import train
from ffl_ray.bench.figures import Figure, Found, ratio
from ffl_ray.bench.sides import Side, Sides
from ffl_ray.bench.stepping import Stepper
from ffl_ray.config.settings import Config
from ffl_ray.errors import SettingError
from ffl_ray.planning.throughput import StepTimer
from ffl_ray.training.setup import choose_device

AUTHORS_BATCH = 128


def measured(args: argparse.Namespace) -> Found:
    """Our figures, the authors' program's, and their ratio.

    Raises:
        SettingError: an option or a setting can't be used.
    """
    authors: list[Side] = []

    def add_authors(sides: Sides, config: Config) -> None:
        stepper = authors_stepper(Path(args.against), config, sides.threads)
        authors.append(sides.add_stepper("authors", stepper, AUTHORS_BATCH))

    found, given = train.measured(args, add_authors)
    more = compared(given, authors[0].peak_memory_bytes)
    return found._replace(figures=[*found.figures, *more])


def authors_stepper(clone: Path, config: Config, threads: int) -> Stepper:
    """The authors' program as a side, on the config's data.

    Raises:
        SettingError: they train on other data, or the clone lacks a file of it.
    """
    if config.data.name != "cifar100" or config.data.dir is None:
        raise SettingError(
            "--against takes CIFAR-100, which the authors' program trains on: give --set "
            "data.name=cifar100 and --data-dir"
        )
    for file in FILES:
        if not (clone / file).is_file():
            raise SettingError(
                f"--against must name a clone of Jangho-Kim/FFL-pytorch, and {clone} has no {file}"
            )
    device = choose_device(config, StepTimer(threads, None)).type
    places = (str(clone), config.data.dir, device, str(threads))
    command = [sys.executable, "-m", "benchmarks.compare.authors", *places]
    return Stepper("the authors' program", [command])


def compared(given: Mapping[str, list[float]], peak_memory_bytes: int) -> list[Figure]:
    """The authors' figures, and our speed over theirs."""
    rate = 1 / statistics.median(given["authors"])
    times = ratio(given["authors"], given["ours"])
    return [
        Figure("authors_images_per_s", rate, "the authors' whole loop"),
        Figure("times_authors", times, "our images per second over theirs"),
        Figure("authors_peak_memory_bytes", peak_memory_bytes),
    ]
