"""`bench input`: reading, decoding, the whole streamed input, and the training it has to feed."""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ffl_ray.bench.figures import Figure, Found, alternated, ratio
from ffl_ray.errors import SettingError

DEFAULT_MIX = "2*torchvision:resnet18"
MOST_PROCESSES = 16


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subject's options."""
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="measure on train/CLASS/ of this folder (default: photographs' like, made for it)",
    )
    parser.add_argument(
        "--num-images", type=int, default=400, metavar="N", help="in each round (default 400)"
    )
    parser.add_argument(
        "--processes",
        type=_counts,
        default=None,
        metavar="N,N",
        help="loader processes to measure (default 1, 2, 4... up to this machine's CPUs)",
    )
    parser.add_argument(
        "--step-images-per-s",
        type=float,
        metavar="X",
        help="what a training step takes, as `bench train` says (default: measured here)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting, by its dotted name; may be repeated "
        f"(default data.image_size=224, optim.batch_size=64, model.mix={DEFAULT_MIX})",
    )


def run(args: argparse.Namespace) -> Found:
    """Measure it."""
    from ffl_ray.bench.input_sides import InputSides
    from ffl_ray.bench.photos import write_photos
    from ffl_ray.config.overrides import parse_assignments, with_overrides
    from ffl_ray.config.settings import Config
    from ffl_ray.planning.layout import available_cpus

    if args.num_images < 2:
        raise SettingError(f"--num-images must be at least 2, not {args.num_images}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(args.data_dir or made).expanduser()
        if args.data_dir is None:
            write_photos(folder, args.num_images)
        base = {
            "model.mix": DEFAULT_MIX,
            "data.name": "folder",
            "data.image_size": 224,
            "optim.batch_size": 64,
        }
        fixed = {"data.dir": str(folder), "data.residency": "stream"}
        config = with_overrides(Config(), base | parse_assignments(args.set) | fixed)
        counts = args.processes or _default_counts(available_cpus())
        with InputSides(config, args.num_images, counts) as sides:
            rates = alternated(sides.table(step=args.step_images_per_s is None), args.rounds)
            if args.step_images_per_s is not None:
                rates["step"] = [args.step_images_per_s] * args.rounds
            return _found(rates, counts, sides.about, available_cpus())


def _counts(text: str) -> list[int]:
    counts = sorted({int(part) for part in text.split(",")})
    if counts[0] < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {counts[0]}")
    return counts


def _default_counts(cpus: int) -> list[int]:
    """1, 2, 4 and so on, as many as there are CPUs at most."""
    return [2**power for power in range(int(math.log2(min(cpus, MOST_PROCESSES))) + 1)]


def _found(rates: dict[str, list[float]], counts: Sequence[int], about: str, cpus: int) -> Found:
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
        stream, plain = f"stream_{count}", f"plain_{count}"
        figures += [
            Figure(f"{stream}_images_per_s", medians[stream], f"whole input, {_processes(count)}"),
            Figure(
                f"{plain}_images_per_s",
                medians[plain],
                f"torchvision's ImageFolder and a DataLoader, {_processes(count)}",
            ),
            Figure(f"{stream}_over_plain", ratio(rates[stream], rates[plain]), "ratio"),
        ]
    figures += [
        Figure("step_images_per_s", step, "training step alone"),
        Figure("balanced_processes", needed, "loader processes that keep up with the step"),
        Figure("bottleneck", limit, f"of step and input of {_processes(most)}"),
    ]
    lines = [f"{limit} is the bottleneck: the step takes {step:,.0f} images/s, the input "
             f"of {_processes(most)} gives {best:,.0f}."]  # fmt: skip
    if needed is not None and needed > cpus:
        lines.append(
            f"{needed} loader processes would keep up; this machine has {cpus} CPUs: images that "
            f"fit are better kept in memory (data.residency=memory)."
        )
    return Found("input", about, figures, tuple(lines))


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
