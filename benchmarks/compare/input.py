"""`compare input`: torchvision's ImageFolder and torch's DataLoader, by turns with our stream."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from ffl_ray.bench import input as image_input
from ffl_ray.bench.figures import Figure, Found, ratio
from ffl_ray.bench.input import processes
from ffl_ray.bench.input_sides import InputSides


def measured(args: argparse.Namespace) -> Found:
    """Our figures, ImageFolder's, and their ratios.

    Raises:
        SettingError: an option or a setting can't be used.
    """
    found, given = image_input.measured(args, plain_side)
    return found._replace(figures=[*found.figures, *compared(given)])


def plain_side(sides: InputSides, count: int) -> dict[str, Callable[[], float]]:
    """The same files as they are loaded by what torchvision and torch have."""
    loader = folder_loader(sides, count)

    def sizes() -> Iterable[int]:
        for images, labels in loader:
            images.to(sides.device, non_blocking=True)
            labels.to(sides.device, non_blocking=True)
            yield len(labels)

    return {f"plain_{count}": lambda: sides.rate(sizes())}


def folder_loader(sides: InputSides, count: int) -> Any:
    """As it is written today: torchvision's folder and transforms, torch's DataLoader."""
    steps = [
        transforms.RandomResizedCrop(sides.files.size),
        transforms.RandomHorizontalFlip(),
        *([transforms.TrivialAugmentWide()] if sides.trivial else []),
        transforms.ToTensor(),
        transforms.Normalize(sides.info.mean, sides.info.std),
    ]
    folder = datasets.ImageFolder(sides.files.folder, transforms.Compose(steps))
    return DataLoader(
        Subset(folder, range(len(sides.files))),
        batch_size=sides.config.optim.batch_size,
        shuffle=True,
        num_workers=count,
        pin_memory=sides.device.type == "cuda",
        persistent_workers=True,
    )


def compared(given: Mapping[str, list[float]]) -> list[Figure]:
    """ImageFolder's rates, and ours over them, by loader processes."""
    figures = []
    for name in (name for name in given if name.startswith("plain_")):
        count = int(name.removeprefix("plain_"))
        meaning = f"torchvision's ImageFolder and a DataLoader, {processes(count)}"
        times = ratio(given[f"stream_{count}"], given[name])
        figures += [
            Figure(f"{name}_images_per_s", statistics.median(given[name]), meaning),
            Figure(f"stream_{count}_over_plain", times, "ratio"),
        ]
    return figures
