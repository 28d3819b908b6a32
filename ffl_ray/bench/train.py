"""`bench train`: images per second, where a step's time goes, and what the machine could do."""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Mapping
from typing import NamedTuple

import torch

from ffl_ray import cli
from ffl_ray.bench.figures import Figure, Found, alternated, ratio
from ffl_ray.bench.peak import Peak
from ffl_ray.bench.sides import AddOthers, Sides, train_sides
from ffl_ray.bench.split import Operator, host_wait_seconds, operators, split_seconds
from ffl_ray.bench.stepping import endless
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import SettingError
from ffl_ray.planning.data_dir import absolute_data_dir
from ffl_ray.planning.layout import available_cpus
from ffl_ray.planning.throughput import StepTimer
from ffl_ray.training.setup import Training, prepare, threads

PEAK_MEANING = {"cpu": "of a training process", "cuda": "of tensors on the GPU"}
Given = dict[str, list[float]]


def measured(
    args: argparse.Namespace, add_others: AddOthers = lambda sides, config: None
) -> tuple[Found, Given]:
    """The figures, and what each side gave in each round: seconds of an image.

    Raises:
        SettingError: an option or a setting can't be used.
    """
    if args.seconds <= 0:
        raise SettingError(f"--seconds must be above 0, not {args.seconds:g}")
    config, count = config_of(args), args.threads or available_cpus()
    with threads(count):
        training = prepare(config, StepTimer(count, None))
        in_bfloat16 = training.precision.autocast
        peak = Peak(training.train.device, torch.bfloat16 if in_bfloat16 else torch.float32)
        sides = train_sides(args, config, count, in_bfloat16=in_bfloat16, add_others=add_others)
        with contextlib.closing(sides):
            given = _by_turns(peak, sides, args.rounds)
        profile = _profile(training, sides["ours"].steps, args.operators)
    device, kind = training.train.device.type, "bfloat16" if in_bfloat16 else "float32"
    title = (
        f"{'+'.join(config.model.mix)}, {config.distill.method}, batch {config.optim.batch_size}, "
        f"{config.data.name}, {count} threads, {device}, {kind}; "
        f"medians of {args.rounds} alternating rounds"
    )
    figures = [
        *_speed(given, config, sides.training_macs["ours"]),
        *profile.figures(),
        *_compared(given, sides),
        Figure("peak_memory_bytes", sides["ours"].peak_memory_bytes, PEAK_MEANING[device]),
    ]
    return Found("train", title, figures, profile.lines()), given


def config_of(args: argparse.Namespace) -> ResolvedConfig:
    """The training that the options name."""
    overrides = cli.overrides_of(args)
    if args.data_dir is not None:
        overrides["data.dir"] = args.data_dir
    config = resolved_from(overrides)
    return with_overrides(config, absolute_data_dir(config))


def _by_turns(peak: Peak, sides: Sides, rounds: int) -> Given:
    seconds = {name: side.seconds_per_image for name, side in sides.items()}
    machine = {"matmul": peak.flops_per_s, "copy": peak.copied_bytes_per_s}
    return alternated({**machine, **seconds}, rounds)


class Profile(NamedTuple):
    """Where the time of a step goes.

    Attributes:
        phases_s: seconds of each.
        host_wait_s: the host has only to wait for the device.
        dearest: operators.
    """

    phases_s: dict[str, float]
    host_wait_s: float
    dearest: list[Operator]

    def figures(self) -> list[Figure]:
        """Seconds of a step."""
        whole = sum(self.phases_s.values())
        phases = [
            Figure(f"{phase}_s", seconds, f"a step: {seconds / whole:.1%}")
            for phase, seconds in self.phases_s.items()
        ]
        meaning = "a step: the host has only to wait for the device"
        return [*phases, Figure("host_wait_s", self.host_wait_s, meaning)]

    def lines(self) -> tuple[str, ...]:
        """An operator each."""
        return tuple(
            f"{one.share:6.1%}  {one.calls:6.1f} a step  {one.name}" for one in self.dearest
        )


def _profile(training: Training, steps: int, most: int) -> Profile:
    batches = endless(training)
    phases_s = split_seconds(training, batches, steps)
    host_wait_s = host_wait_seconds(training, batches, steps)
    dearest = operators(training, batches, steps)[:most] if most else []
    return Profile(phases_s, host_wait_s, dearest)


def _speed(given: Mapping[str, list[float]], config: ResolvedConfig, macs: int) -> list[Figure]:
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


def _compared(given: Mapping[str, list[float]], sides: Sides) -> list[Figure]:
    figures = []
    if "workers" in given:
        share = ratio(given["ours"], given["workers"])
        figures.append(Figure("workers_share", share, "of one worker's speed with all threads"))
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
