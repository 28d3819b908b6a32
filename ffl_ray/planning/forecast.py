"""The forecast of a study before it starts: hours, disk, and the memory of each trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.planning.cost import BACKWARD_PER_FORWARD, DataSize, TrainingCost
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.throughput import Curve, Throughput
from ffl_ray.search.points import Point, points
from ffl_ray.search.rungs import num_brackets, rung_epochs
from ffl_ray.search.space import SearchSpace

RANDOM_POINTS = 24
# Start of a trial: a reused actor, or Ray Train's workers (2 cores, Ray 2.60).
START_S = {"one": 0.5, "several": 30.0}
# An epoch beside its images: checkpoint, metrics and report (2*resnet20 and 4*wrn16_2, one thread).
EPOCH_S = 0.05
# Part files of 512 rows whose numbers are random (which zstd can't shrink), per row: an epoch of 2,
# 4 and 8 branches 242, 314 and 460 bytes, a member 59, a trial 183; here with room for new columns.
EPOCH_ROW_BYTES = 220
EPOCH_BRANCH_BYTES = 45
MEMBER_ROW_BYTES = 80
TRIAL_ROW_BYTES = 500
# What Ray Tune keeps of a trial in the study's folder: 47 kB over 16 trials.
RAY_TRIAL_BYTES = 50_000
STUDY_BYTES = 1_000_000


class Forecast(NamedTuple):
    """A study's hours, disk and memory.

    Attributes:
        trials: in all.
        at_once: trials at a time.
        trial_s: seconds of one trial that is not pruned; none when nothing was measured.
        share: of the planned epochs that ASHA leaves.
        disk_bytes: the study's folder at its largest.
        checkpoint_bytes: the largest checkpoint among the sampled configs.
        memory_bytes: of one worker, for each sampled config, ascending.
        parameters: least and most.
    """

    trials: int
    at_once: int
    trial_s: float | None
    share: float
    disk_bytes: int
    checkpoint_bytes: int
    memory_bytes: list[int]
    parameters: tuple[int, int]

    def slower(self, times: float) -> Forecast:
        """The forecast of trials that take so many times as long, beside others on a GPU."""
        return self._replace(trial_s=None if self.trial_s is None else times * self.trial_s)

    def seconds(self, trials: int | None = None) -> tuple[float, float] | None:
        """Seconds with ASHA, and when no trial is pruned; None when nothing was measured.

        Args:
            trials: how many are still to be run; none: all.
        """
        if self.trial_s is None:
            return None
        count = self.trials if trials is None else trials
        rounds = max(count / self.at_once, min(count, 1))
        return rounds * self.trial_s * self.share, rounds * self.trial_s


def sampled_points(space: SearchSpace, base: Config) -> list[Point]:
    """The ends of the space's ranges, and some random points."""
    return list(points(space, base, RANDOM_POINTS))


def spread(costs: Sequence[TrainingCost]) -> list[int]:
    """Positions of the cheapest and the dearest training; one when they are equal."""
    order = sorted(range(len(costs)), key=lambda i: costs[i].macs)
    return [order[0]] if costs[order[0]].macs == costs[order[-1]].macs else [order[0], order[-1]]


def forecast(
    sampled: Sequence[Point],
    costs: Sequence[TrainingCost],
    data: DataSize,
    search: SearchConfig,
    plan: Plan,
    throughput: Throughput | None,
) -> Forecast:
    """A study's cost from the sampled points.

    Time is the mean over the random points alone: the ends are there for memory. Several workers
    are taken to share an epoch evenly, and trials at once not to slow each other.
    """
    sizes = [point.config.optim.epochs for point in sampled]
    checkpoint = max(cost.checkpoint_bytes for cost in costs)
    branches = max(len(point.config.model.mix) for point in sampled)
    random = [i for i, point in enumerate(sampled) if not point.at_end]
    trial_s = None
    if throughput is not None:
        times = [trial_seconds(sizes[i], costs[i], data, plan, throughput) for i in random]
        trial_s = sum(times) / len(times)
    shares = [epochs_share(sizes[i], search) for i in random]
    at_once = plan.max_concurrent_trials
    return Forecast(
        trials=search.num_samples,
        at_once=at_once,
        trial_s=trial_s,
        share=sum(shares) / len(shares),
        disk_bytes=checkpoints_bytes(checkpoint, at_once, search.keep_checkpoints)
        + tables_bytes(search.num_samples, max(sizes), branches),
        checkpoint_bytes=checkpoint,
        memory_bytes=sorted(cost.memory_bytes for cost in costs),
        parameters=(
            min(cost.parameters for cost in costs),
            max(cost.parameters for cost in costs),
        ),
    )


def trial_seconds(
    epochs: int, cost: TrainingCost, data: DataSize, plan: Plan, throughput: Throughput | Curve
) -> float:
    """Seconds of a trial; an image to validate on takes the forward pass alone.

    A short epoch, on a GPU above all, is little more than its end.
    """
    start_s = START_S["one" if plan.num_workers == 1 else "several"]
    return start_s + epochs * epoch_seconds(throughput.seconds_per_image(cost.macs), data, plan)


def epoch_seconds(seconds_per_image: float, data: DataSize, plan: Plan) -> float:
    """Seconds of an epoch, of which an image takes so many in training."""
    images = data.num_train + data.num_val / (1 + BACKWARD_PER_FORWARD)
    return images * seconds_per_image / plan.num_workers + EPOCH_S


def epochs_share(epochs: int, search: SearchConfig) -> float:
    """Share of the planned epochs that trials are expected to do under the study's scheduler.

    Hyperband's brackets are ASHA's with a later first rung; what the median rule stops can't be
    known before.
    """
    if search.scheduler in ("none", "median"):
        return 1.0
    if search.scheduler == "asha":
        return asha_share(epochs, search)
    brackets = range(num_brackets(search, epochs))
    odds = [math.exp(-bracket) for bracket in brackets]
    shares = [asha_share(epochs, search, bracket) for bracket in brackets]
    return sum(o * share for o, share in zip(odds, shares, strict=True)) / sum(odds)


def asha_share(epochs: int, search: SearchConfig, bracket: int = 0) -> float:
    """Share of the planned epochs that trials are expected to do under ASHA.

    Every trial does the epochs of the first rung; at each rung one in f goes on, f being the
    reduction factor, so that with rungs r_0 < r_1 < ... and the end behind the last one the share
    is (r_0 + sum_k (r_k - r_(k-1)) / f^k) / epochs. Early rungs see few rivals and let more pass:
    a short study takes more than this.

    Args:
        bracket: rungs that are left out at the beginning.
    """
    rungs = [math.ceil(rung) for rung in rung_epochs(search, epochs)[bracket:]]
    if not rungs:
        return 1.0
    done, going_on = float(rungs[0]), 1.0
    for rung, following in pairwise([*rungs, epochs]):
        going_on /= search.reduction_factor
        done += (following - rung) * going_on
    return done / epochs


def checkpoints_bytes(checkpoint: int, at_once: int, keep: int) -> int:
    """Bytes of a running trial's latest and best, one being replaced, and of the best `keep`."""
    return checkpoint * (3 * at_once + keep)


def tables_bytes(trials: int, epochs: int, branches: int) -> int:
    """Bytes of the tables, study.json, the log and what Ray keeps, when no trial is pruned."""
    epoch_row = EPOCH_ROW_BYTES + EPOCH_BRANCH_BYTES * branches
    members = 2 * (branches + 2)
    per_trial = RAY_TRIAL_BYTES + TRIAL_ROW_BYTES + members * MEMBER_ROW_BYTES + epochs * epoch_row
    return STUDY_BYTES + trials * per_trial
