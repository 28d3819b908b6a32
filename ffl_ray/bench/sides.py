"""The sides of `bench train`: trainings of this project, and what others add."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ffl_ray.bench.stepping import Stepper, our_stepper
from ffl_ray.config.methods import with_reachable_objective
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import SettingError
from ffl_ray.planning.cost import DataSize, training_costs

CALIBRATING_STEPS = 3


class Side:
    """One of the sides, and how many steps it takes in a round."""

    def __init__(self, stepper: Stepper, batch_size: int, seconds: float) -> None:
        self._stepper = stepper
        self._batch_size = batch_size
        stepper.seconds(CALIBRATING_STEPS)
        once = stepper.seconds(CALIBRATING_STEPS) / CALIBRATING_STEPS
        self.steps = max(2, round(seconds / once))

    def seconds_per_image(self) -> float:
        """Seconds of an image over a round's steps of full batches."""
        return self._stepper.seconds(self.steps) / (self.steps * self._batch_size)

    @property
    def peak_memory_bytes(self) -> int:
        """Bytes of its process, or of the one of its processes that has held most."""
        return self._stepper.peak_memory_bytes

    def close(self) -> None:
        """End its processes."""
        self._stepper.close()


class Sides:
    """All sides of one run, by name.

    Attributes:
        threads: of each side.
        training_macs: of each training's images.
    """

    def __init__(self, seconds: float, threads: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._seconds = seconds
        self.threads = threads
        self._sides: dict[str, Side] = {}
        self.training_macs: dict[str, int] = {}

    def add(self, name: str, config: ResolvedConfig, *, workers: int = 1) -> None:
        """Add a training; its workers share the threads."""
        threads = self.threads // workers
        folder = Path(self._folder.name)
        stepper = our_stepper(name, flatten(config), folder, workers=workers, threads=threads)
        self.add_stepper(name, stepper, config.optim.batch_size)
        # The splits' sizes matter for memory alone.
        [cost] = training_costs([config], DataSize(100, 1000, 1000), workers)
        self.training_macs[name] = cost.training_macs

    def add_stepper(self, name: str, stepper: Stepper, batch_size: int) -> Side:
        """The side of processes that step when they are told to, added to the others."""
        self._sides[name] = Side(stepper, batch_size, self._seconds)
        return self._sides[name]

    def items(self) -> Iterator[tuple[str, Side]]:
        """Names and sides."""
        return iter(self._sides.items())

    def __getitem__(self, name: str) -> Side:
        return self._sides[name]

    def close(self) -> None:
        """End all processes."""
        for side in self._sides.values():
            side.close()
        self._folder.cleanup()


AddOthers = Callable[[Sides, ResolvedConfig], None]


def train_sides(
    args: argparse.Namespace,
    config: ResolvedConfig,
    threads: int,
    *,
    in_bfloat16: bool,
    add_others: AddOthers,
) -> Sides:
    """The sides that the command's options ask for.

    Args:
        in_bfloat16: whether the config computes in it here.
        add_others: adds the sides that come right after ours.

    Raises:
        SettingError: they ask for what can't be.
    """
    if args.workers is not None and not 2 <= args.workers <= threads:
        raise SettingError(
            f"--workers must be from 2 to the {threads} threads they share, not {args.workers}"
        )
    sides = Sides(args.seconds, threads)
    try:
        sides.add("ours", config)
        add_others(sides, config)
        if args.workers is not None:
            sides.add("workers", config, workers=args.workers)
        if args.precisions:
            sides.add("other_precision", _with_precision(config, in_bfloat16=not in_bfloat16))
        if args.branches:
            sides.add("branch_1", _with_branches(config, 1))
        for count in args.branches:
            sides.add(f"branches_{count}", _with_branches(config, count))
    except BaseException:
        sides.close()
        raise
    return sides


def _with_precision(config: ResolvedConfig, *, in_bfloat16: bool) -> ResolvedConfig:
    precision = "bfloat16" if in_bfloat16 else "float32"
    return with_overrides(config, {"compute.precision": precision})


def _with_branches(config: ResolvedConfig, count: int) -> ResolvedConfig:
    """So many branches of the first's kind; a single one has nobody to learn from."""
    changes: dict[str, object] = {"model.mix": [config.model.mix[0]] * count}
    if count == 1:
        changes |= {"distill.method": "independent", "model.trunk_stages": 0}
    return with_reachable_objective(with_overrides(config, changes))
