"""`bench train`: images per second, where a step's time goes, and what the machine could do."""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ffl_ray.bench.figures import Figure, Found, alternated, ratio
from ffl_ray.errors import SettingError

if TYPE_CHECKING:
    from ffl_ray.bench.sides import Sides
    from ffl_ray.config.settings import Config

PEAK_MEANING = {"cpu": "of a training process", "cuda": "of tensors on the GPU"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Settings of the training that is timed, and what it is compared with."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="the same as --set data.dir=DIR")
    parser.add_argument("--threads", type=int, metavar="N", help="of torch (default: all CPUs)")
    parser.add_argument(
        "--seconds", type=float, default=3.0, metavar="S", help="of one measurement (default 3)"
    )
    parser.add_argument(
        "--against",
        metavar="DIR",
        help="also the authors' program, from a clone of Jangho-Kim/FFL-pytorch (CIFAR-100)",
    )
    parser.add_argument(
        "--branches",
        type=_counts,
        default=(),
        metavar="N,N",
        help="also 1 branch of the mix's first backbone against these counts",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="also N workers that share the threads"
    )
    parser.add_argument(
        "--precisions", action="store_true", help="also in the other of float32 and bfloat16"
    )
    parser.add_argument(
        "--operators", type=int, default=0, metavar="N", help="list the N dearest operators"
    )


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 2:
        raise argparse.ArgumentTypeError(f"takes counts from 2, such as 2,4,8, not {text!r}")
    return counts


def run(args: argparse.Namespace) -> Found:
    """Measure it.

    Raises:
        SettingError: an option or a setting can't be used.
    """
    import torch

    from ffl_ray.bench.peak import Peak
    from ffl_ray.bench.sides import train_sides
    from ffl_ray.bench.split import host_wait_seconds, operators, split_seconds
    from ffl_ray.bench.stepping import endless
    from ffl_ray.planning.layout import available_cpus
    from ffl_ray.planning.throughput import StepTimer
    from ffl_ray.training.setup import prepare, threads

    if args.seconds <= 0:
        raise SettingError(f"--seconds must be above 0, not {args.seconds:g}")
    config, count = _config(args), args.threads or available_cpus()
    with threads(count):
        training = prepare(config, StepTimer(count, None))
        device, batches = training.train.device, endless(training)
        in_bfloat16 = training.precision.autocast
        peak = Peak(device, torch.bfloat16 if in_bfloat16 else torch.float32)
        sides = train_sides(args, config, device.type, count, in_bfloat16=in_bfloat16)
        with contextlib.closing(sides):
            given = alternated(
                {
                    "matmul": peak.flops_per_s,
                    "copy": peak.copied_bytes_per_s,
                    **{name: side.seconds_per_image for name, side in sides.items()},
                },
                args.rounds,
            )
        steps = sides["ours"].steps
        split = split_seconds(training, batches, steps)
        waited = host_wait_seconds(training, batches, steps)
        dearest = operators(training, batches, steps)[: args.operators] if args.operators else []
    kind = "bfloat16" if in_bfloat16 else "float32"
    return Found(
        "train",
        f"{'+'.join(config.model.mix)}, {config.distill.method}, batch {config.optim.batch_size}, "
        f"{config.data.name}, {count} threads, {device.type}, {kind}; "
        f"medians of {args.rounds} alternating rounds",
        [
            *_speed(given, config, sides.training_macs["ours"]),
            *(Figure(f"{part}_s", value, _share(value, split)) for part, value in split.items()),
            Figure("host_wait_s", waited, "a step: the host has only to wait for the device"),
            *_compared(given, sides),
            Figure("peak_memory_bytes", sides["ours"].peak_memory_bytes, PEAK_MEANING[device.type]),
        ],
        tuple(f"{one.share:6.1%}  {one.calls:6.1f} a step  {one.name}" for one in dearest),
    )


def _speed(given: Mapping[str, list[float]], config: Config, macs: int) -> list[Figure]:
    seconds = statistics.median(given["ours"])
    flops = [2 * macs / value for value in given["ours"]]
    return [
        Figure("images_per_s", 1 / seconds),
        Figure("step_s", seconds * config.optim.batch_size),
        Figure("training_macs", macs, "of an image: forward, and twice that backward"),
        Figure("flops_per_s", statistics.median(flops)),
        Figure("matmul_flops_per_s", statistics.median(given["matmul"]), "a large product"),
        Figure("share_of_matmul", ratio(flops, given["matmul"]), "of that rate in a training step"),
        Figure("copy_bytes_per_s", statistics.median(given["copy"]), "a large copy, one way"),
    ]


def _share(part_s: float, split: Mapping[str, float]) -> str:
    return f"a step: {part_s / sum(split.values()):.1%}"


def _compared(given: Mapping[str, list[float]], sides: Sides) -> list[Figure]:
    figures = []
    if "authors" in given:
        rate = 1 / statistics.median(given["authors"])
        times = ratio(given["authors"], given["ours"])
        figures = [
            Figure("authors_images_per_s", rate, "the authors' whole loop"),
            Figure("times_authors", times, "our images per second over theirs"),
            Figure("authors_peak_memory_bytes", sides["authors"].peak_memory_bytes),
        ]
    if "workers" in given:
        part = ratio(given["ours"], given["workers"])
        figures.append(Figure("workers_share", part, "of one worker's speed with all threads"))
    if "other_precision" in given:
        times = ratio(given["ours"], given["other_precision"])
        figures.append(Figure("times_other_precision", times, "speed in the other number format"))
    for name in given:
        if name.startswith("branches_"):
            macs = sides.training_macs[name] / sides.training_macs["branch_1"]
            times = ratio(given[name], given["branch_1"])
            meaning = f"{times:.2f} times the seconds for {macs:.2f} times the MACs of 1 branch"
            figures.append(Figure(f"{name}_over_macs", times / macs, meaning))
    return figures


def _config(args: argparse.Namespace) -> Config:
    from ffl_ray.config.methods import resolved
    from ffl_ray.config.overrides import parse_assignments, with_overrides
    from ffl_ray.config.settings import Config
    from ffl_ray.planning.data_check import absolute_data_dir

    overrides = parse_assignments(args.set)
    if args.data_dir is not None:
        overrides["data.dir"] = args.data_dir
    config = resolved(with_overrides(Config(), overrides))
    return with_overrides(config, absolute_data_dir(config))
