"""`bench input`: reading, decoding, the whole streamed input, and the training it has to feed."""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ffl_ray import cli
from ffl_ray.bench.figures import Figure, Found, alternated
from ffl_ray.bench.input_sides import Beside, InputSides
from ffl_ray.bench.options import DEFAULT_MIX
from ffl_ray.bench.photos import write_photos
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import SettingError
from ffl_ray.files import expanded
from ffl_ray.planning.layout import available_cpus

MOST_PROCESSES = 16
Given = dict[str, list[float]]


def measured(
    args: argparse.Namespace, beside: Beside = lambda sides, count: {}
) -> tuple[Found, Given]:
    """The figures, and what each side gave in each round: images a second.

    Args:
        beside: sides that come right after ours of so many processes.

    Raises:
        SettingError: an option or a setting can't be used.
    """
    if args.num_images < 2:
        raise SettingError(f"--num-images must be at least 2, not {args.num_images}")
    with tempfile.TemporaryDirectory() as made:
        folder = expanded(str(args.data_dir or made))
        if args.data_dir is None:
            write_photos(folder, args.num_images)
        counts = args.processes or default_counts(available_cpus())
        with InputSides(_config(args, folder), args.num_images, counts) as sides:
            table = sides.table(step=args.step_images_per_s is None, beside=beside)
            rates = alternated(table, args.rounds)
            if args.step_images_per_s is not None:
                rates["step"] = [args.step_images_per_s] * args.rounds
            return found_of(rates, counts, sides.about, available_cpus()), rates


def _config(args: argparse.Namespace, folder: Path) -> ResolvedConfig:
    base = {
        "model.mix": DEFAULT_MIX,
        "data.name": "folder",
        "data.image_size": 224,
        "optim.batch_size": 64,
    }
    fixed = {"data.dir": str(folder), "data.residency": "stream"}
    return resolved_from(base | cli.overrides_of(args) | fixed)


def default_counts(cpus: int) -> list[int]:
    """1, 2, 4 and so on, as many as there are CPUs at most."""
    return [2**power for power in range(int(math.log2(min(cpus, MOST_PROCESSES))) + 1)]


def found_of(rates: dict[str, list[float]], counts: Sequence[int], about: str, cpus: int) -> Found:
    """The figures of what each side gave in each round, and which side waits."""
    medians = {name: statistics.median(values) for name, values in rates.items()}
    most = counts[-1]
    step, best = medians["step"], medians[f"stream_{most}"]
    needed = math.ceil(step / medians["stream_1"]) if "stream_1" in medians else None
    limit = "input" if best < step else "training"
    figures = [
        Figure("read_images_per_s", medians["read"], "raw files, one process, from the cache"),
        Figure("decode_images_per_s", medians["decode"], "random crops, in this process"),
    ]
    for count in counts:
        meaning = f"whole input, {processes(count)}"
        figures.append(Figure(f"stream_{count}_images_per_s", medians[f"stream_{count}"], meaning))
    figures += [
        Figure("step_images_per_s", step, "training step alone"),
        Figure("balanced_processes", needed, "loader processes that keep up with the step"),
        Figure("bottleneck", limit, f"of step and input of {processes(most)}"),
    ]
    lines = [f"{limit} is the bottleneck: the step takes {step:,.0f} images/s, the input "
             f"of {processes(most)} gives {best:,.0f}."]  # fmt: skip
    if needed is not None and needed > cpus:
        lines.append(
            f"{needed} loader processes would keep up; this machine has {cpus} CPUs: images that "
            f"fit are better kept in memory (data.residency=memory)."
        )
    return Found("input", about, figures, tuple(lines))


def processes(count: int) -> str:
    """A number of processes in words."""
    return "1 process" if count == 1 else f"{count} processes"
