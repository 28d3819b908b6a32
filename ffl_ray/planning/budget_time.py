"""The time of a search by its settings, from a few measured trainings: a budget is held to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import ResolvedConfig, SearchConfig, StudyConfig
from ffl_ray.planning.budget import EPOCHS, FRACTION, SIZE, Ladders, Values, ending_s
from ffl_ray.planning.cost import DataSize, TrainingCost, training_costs
from ffl_ray.planning.forecast import epochs_share, sampled_points, trial_seconds
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.nodes import Cluster
from ffl_ray.planning.plain_baseline import has_plain
from ffl_ray.planning.preflight import steadily_measured
from ffl_ray.planning.throughput import Curve
from ffl_ray.search.first_points import default_config
from ffl_ray.search.points import Point
from ffl_ray.search.space import SearchSpace

# Trials at once slow each other and the driver, and of a few trials fewer are pruned than expected.
SLACK = 1.2
# Between what is chosen and the first step: the plan's own measurement, the start of the actors.
BEGINNING_S = 7.0
MEASURED_IMAGES = 600
MOST_MEASURED_SIDE = 64


class Spent(NamedTuple):
    """Seconds of a search that no setting changes.

    Attributes:
        passed_s: before its settings were chosen.
        image_s: to decode an image, over all CPUs, which is done once for all trials.
    """

    passed_s: float
    image_s: float = 0.0


class SearchTime:
    """The expected seconds of a search, by what a budget chooses.

    Args:
        space: of the search.
        settle: the settings of the study with some values.
        plan: of the largest search that may be chosen.
        data: its sizes, of which no share was taken.
    """

    def __init__(
        self,
        space: SearchSpace,
        settle: Callable[[Values], StudyConfig],
        plan: Plan,
        data: DataSize,
        spent: Spent,
    ) -> None:
        self._space, self._settle, self._plan = space, settle, plan
        self._data, self._spent = data, spent
        self._known: dict[tuple[str, ...], tuple[list[Point], list[TrainingCost]]] = {}
        self._defaults: dict[tuple[str, ...], tuple[ResolvedConfig, TrainingCost]] = {}
        self._curve = Curve(())

    def measure(self, ladders: Ladders, cluster: Cluster) -> bool:
        """Measure the smallest training that may be chosen, the largest, and one between.

        Returns:
            Whether a machine was free for it.
        """
        began = time.monotonic()
        least, most = ({name: of[place] for name, of in ladders.items()} for place in (0, -1))
        if SIZE in most:
            most[SIZE] = min(most[SIZE], MOST_MEASURED_SIDE)
            between = {**least, SIZE: most[SIZE]}
        else:
            between = least
        chosen = [self._one(least, min), self._one(between, max), self._one(most, max)]
        timed = steadily_measured(chosen, self._plan, cluster)
        passed_s = self._spent.passed_s + time.monotonic() - began
        self._spent = self._spent._replace(passed_s=passed_s)
        if timed is not None:
            self.known_speed(Curve(timed))
        return timed is not None

    def known_speed(self, curve: Curve) -> None:
        """Take the speed of this machine from measured trainings."""
        self._curve = curve

    def _one(
        self, values: Values, least_or_most: Callable[..., int]
    ) -> tuple[ResolvedConfig, TrainingCost]:
        """The smallest or the largest training with such values, on a few images."""
        study = self._settle(values)
        points, costs = self._sampled(study)
        place = least_or_most(range(len(costs)), key=lambda i: costs[i].macs)
        config, cost = points[place].config, costs[place]
        images = self._data.num_train + self._data.num_val
        few = {
            FRACTION: min(study.data.fraction, MEASURED_IMAGES / images),
            SIZE: study.data.image_size,
            "optim.batch_size": study.optim.batch_size,
        }
        return with_overrides(config, few), _at_side(cost, config, study)

    def __call__(self, values: Values) -> float:
        """Seconds of the whole search, from its start."""
        study = self._settle(values)
        points, costs = self._sampled(study)
        share = study.data.fraction
        num_train, num_val = (round(share * n) for n in (self._data.num_train, self._data.num_val))
        data = self._data._replace(num_train=num_train, num_val=num_val)
        trials_s, shares = [], []
        for point, cost in zip(points, costs, strict=True):
            epochs = values.get(EPOCHS, point.config.optim.epochs)
            sized = _at_side(cost, point.config, study)
            trials_s.append(trial_seconds(epochs, sized, data, self._plan, self._curve))
            shares.append(_share(epochs, study.search))
        trial_s = sum(trials_s) / len(trials_s) * sum(shares) / len(shares)
        plain_s = self._default_s(values, study, data) if has_plain(study.search) else trial_s
        in_all_s = (study.search.num_samples - 1) * trial_s + plain_s
        training_s = max(in_all_s / self._plan.max_concurrent_trials, trial_s, plain_s)
        decoding_s = (num_train + num_val) * self._spent.image_s
        around_s = self._spent.passed_s + BEGINNING_S + ending_s(self._spent.passed_s)
        return around_s + decoding_s + SLACK * training_s

    def _default_s(self, values: Values, study: StudyConfig, data: DataSize) -> float:
        """Seconds of the defaults to their end, for which the plain baseline is trained as well."""
        backbones = study.search.backbones
        if backbones not in self._defaults:
            space = self._space._replace(backbones=backbones)
            config = default_config(space, study.training)
            (cost,) = training_costs([config], self._data, self._plan.num_workers)
            self._defaults[backbones] = config, cost
        config, cost = self._defaults[backbones]
        epochs = values.get(EPOCHS, config.optim.epochs)
        sized = _at_side(cost, config, study)
        return trial_seconds(epochs, sized, data, self._plan, self._curve)

    def _sampled(self, study: StudyConfig) -> tuple[list[Point], list[TrainingCost]]:
        """Random points of the space with the study's backbones, and what each costs."""
        backbones = study.search.backbones
        if backbones not in self._known:
            space = self._space._replace(backbones=backbones)
            points = [one for one in sampled_points(space, study.training) if not one.at_end]
            costs = training_costs(
                [one.config for one in points], self._data, self._plan.num_workers
            )
            self._known[backbones] = points, costs
        return self._known[backbones]


def _at_side(cost: TrainingCost, config: ResolvedConfig, study: StudyConfig) -> TrainingCost:
    """The cost on images of the study's side: multiply-accumulates grow as their area."""
    before, now = (image_shape(data)[1] for data in (config.data, study.data))
    return cost._replace(macs=round(cost.macs * (now / before) ** 2))


def _share(epochs: int, search: SearchConfig) -> float:
    """Share of the epochs that trials do, those that are finished to see what pruning costs too."""
    share = epochs_share(epochs, search)
    audited = min(search.audit_trials / search.num_samples, 1 / 8)
    return share + (1 - share) * audited
