"""The parts of the check, in order, and what was predicted of each before any GPU ran it.

The predictions are of one H200 for `2*resnet32`, batch 128, bfloat16, 32x32 images and 100 classes,
unless they say otherwise. They were made by reading the code and counting its operators.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Part(NamedTuple):
    """One part.

    Attributes:
        seconds: it is ended after.
        needs_gpu: there is nothing in it that a CPU could do.
        what: it shows.
    """

    name: str
    seconds: float
    needs_gpu: bool
    what: str


class Prediction(NamedTuple):
    """A figure of a part, and the range in which it was predicted to lie."""

    part: str
    figure: str
    least: float
    most: float
    what: str

    @property
    def range(self) -> str:
        """The range as a person writes it."""
        if math.isinf(self.most):
            return f"at least {self.least:g}"
        if self.least == self.most:
            return f"{self.least:g}"
        return (
            f"at most {self.most:g}" if math.isinf(self.least) else f"{self.least:g}-{self.most:g}"
        )

    def verdict(self, measured: Any) -> str:
        """What a measured figure makes of it."""
        if measured is None:
            return "not run"
        return "held" if self.least <= measured <= self.most else "missed"


PARTS = (
    Part("versions", 15, False, "which torch, CUDA, cuDNN, driver and GPU"),
    Part("fresh", 30, False, "a training in a process that has not touched its device before"),
    Part("equal", 115, False, "recorded steps against steps one by one: the same bits, by method"),
    Part("threads", 40, False, "trainings in threads against each alone: the same bits"),
    Part("refused", 20, True, "streams and memory after a step that can't be recorded"),
    Part("step", 60, False, "milliseconds of a step, its capture, an evaluation, a checkpoint"),
    Part("branches", 40, True, "branches on streams of their own inside a recorded step"),
    Part(
        "together", 95, False, "trainings at once: in one process, by turns or threads, in one each"
    ),
    Part("first", 40, False, "seconds of a first step, with and without measured kernels"),
    Part("memory", 30, True, "context and peak memory against the plan's estimate"),
    Part("trivial", 20, False, "a batch of TrivialAugment"),
    Part("numbers", 20, False, "float32 against float64; equal logits under bfloat16"),
    Part("loader", 30, False, "streamed JPEGs of 224x224 by loader processes"),
)

NO_LIMIT = math.inf
PREDICTIONS = (
    Prediction("fresh", "ended", 1, 1, "the training ends well"),
    *(
        Prediction("equal", f"{name}.{what}", 1, 1, text)
        for name in ("ffl", "independent", "dml", "cl_ilr", "one", "kdcl", "okddip", "pcl")
        for what, text in (
            ("equal", f"{name}: all weights are equal after two epochs"),
            ("recorded", f"{name}: steps are recorded"),
        )
    ),
    Prediction("equal", "ffl adamw.recorded", 1, 1, "AdamW: steps are recorded"),
    Prediction("threads", "equal", 1, 1, "trainings in threads: all weights are as alone"),
    Prediction("threads", "recorded", 1, 1, "trainings in threads: steps are recorded"),
    Prediction("threads", "lasting", 1, 1, "one that lasts while 12 come and go: as alone"),
    Prediction("refused", "ended", 1, 1, "the training that can't be recorded ends well"),
    Prediction("refused", "left_bytes", -NO_LIMIT, 0, "bytes that it leaves allocated"),
    Prediction("refused", "recorded_after", 1, 1, "the one after it is recorded"),
    Prediction("step", "eager_ms", 8, 12, "a step, one kernel after the other, ms"),
    Prediction("step", "recorded_ms", 2.8, 4.2, "a recorded step, ms"),
    Prediction("step", "kernels", 700, 1000, "kernels of a step"),
    Prediction("step", "kernels_ms", 0.9, 1.2, "work of a step's kernels, ms"),
    Prediction("step", "adamw_gain", 2.5, 3, "recording a step, AdamW, times as fast"),
    Prediction("step", "pcl_gain", 2.5, 3, "recording a step, pcl, times as fast"),
    Prediction("branches", "2.gain", 1.25, NO_LIMIT, "2 branches on streams, times as fast"),
    Prediction("branches", "4.gain", 1.8, NO_LIMIT, "4 branches on streams, times as fast"),
    Prediction("branches", "8.gain", 2.5, 3, "8 branches on streams, times as fast"),
    Prediction("together", "streams.2", 1.6, NO_LIMIT, "2 trainings in a process, times the rate"),
    Prediction("together", "streams.4", 2.2, NO_LIMIT, "4 trainings in a process, times the rate"),
    Prediction("together", "streams.8", 2.6, NO_LIMIT, "8 trainings in a process, times the rate"),
    Prediction("together", "threads.2", 1.4, NO_LIMIT, "2 trainings in threads, times the rate"),
    Prediction("together", "threads.4", 1.9, NO_LIMIT, "4 trainings in threads, times the rate"),
    Prediction("together", "threads.8", 2.1, NO_LIMIT, "8 trainings in threads, times the rate"),
    Prediction("together", "processes.4", -NO_LIMIT, 1.15, "4 processes, no MPS, times the rate"),
    Prediction("first", "measured_s", 4, 8, "a first step with cudnn.benchmark, s"),
    Prediction("first", "measured_in_thread_s", 2, 3, "the same in a new thread, s"),
    Prediction("memory", "context_gb", 0.6, 1.0, "a CUDA context and its libraries, GB"),
    Prediction("memory", "of_estimate", 1, 2, "memory held, times the estimate"),
    Prediction("memory", "of_estimate_224", 1, 2, "the same at 224x224, host far ahead"),
    Prediction("trivial", "trivial_ms", -NO_LIMIT, 15, "a batch of TrivialAugment, grouped, ms"),
    Prediction("numbers", "float32_error", -NO_LIMIT, 1e-5, "float32's logits from float64's"),
    Prediction("numbers", "ties", 0, 0, "share of images whose first two logits are equal"),
)  # fmt: skip


def plan_lines(scale: float) -> list[str]:
    """The parts with their seconds, and the predictions of each."""
    total = sum(part.seconds for part in PARTS) * scale
    lines = [f"{len(PARTS)} parts, at most {total:.0f} s in all"]
    for part in PARTS:
        note = ", CUDA alone" if part.needs_gpu else ""
        lines.append(f"\n{part.name} ({part.seconds * scale:.0f} s{note}): {part.what}")
        lines += [f"  {p.what}: {p.range}" for p in PREDICTIONS if p.part == part.name]
    return lines


def verdicts(parts: dict[str, Any], *, comparable: bool) -> list[dict[str, Any]]:
    """Every prediction beside what was measured.

    Args:
        parts: what each gave; those that were not run are missing.
        comparable: false on a CPU, of which nothing was predicted.
    """
    found = []
    for one in PREDICTIONS:
        measured = parts.get(one.part, {}).get("figures", {}).get(one.figure)
        verdict = one.verdict(measured) if comparable else "not run"
        told = {"part": one.part, "what": one.what, "predicted": one.range}
        found.append(told | {"measured": measured, "verdict": verdict})
    return found
