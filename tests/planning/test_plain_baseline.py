"""The plain baseline: which backbone, judged by what, and for how long."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import optuna
import pytest

from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.settings import SearchConfig
from ffl_ray.data.facts import DataFacts
from ffl_ray.planning.cost import DataSize, training_costs
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.limits import Node
from ffl_ray.planning.nodes import Cluster
from ffl_ray.planning.plain_baseline import PlainBaseline, plain_baseline
from ffl_ray.planning.throughput import Timed
from ffl_ray.search.mix import suggest_mix
from ffl_ray.search.points import points
from ffl_ray.search.space import SearchSpace, settle

FACTS = DataFacts(num_classes=10, num_train=1150, num_val=287)
BACKBONES = ("resnet8", "resnet20", "wrn16_2")


class Busy(NamedTuple):
    """Machines that are not free to time anything."""

    def nodes(self) -> list[Node]:
        return []

    def call(self, function: Callable[..., Any], *args: Any, cpus: float, gpus: float) -> Any:
        return None


BUSY = Busy()


class Timing(NamedTuple):
    """A machine whose steps take what is said of the defaults and of the baseline, in turn.

    Attributes:
        rounds: seconds per image of both, round by round.
    """

    rounds: list[tuple[float, float]]

    def nodes(self) -> list[Node]:
        return []

    def call(self, function: Callable[..., Any], *args: Any, cpus: float, gpus: float) -> Any:
        asked = len(args[0])
        seconds = [
            one
            for both in itertools.islice(itertools.cycle(self.rounds), asked // 2)
            for one in both
        ]
        return [Timed(macs=1, seconds_per_image=one) for one in seconds]


def search_space(trial: optuna.Trial) -> dict[str, object]:
    suggest_mix(trial, num_branches=(2, 3), backbones=BACKBONES)
    return {}


def found(
    settings: dict[str, object], constraints: tuple[str, ...] = (), cluster: Cluster = BUSY
) -> PlainBaseline:
    base = {"data.name": "digits", "optim.epochs": 12, "optim.lr": 0.05, **settings}
    space = SearchSpace("mine.py", base, search_space)
    study = settle(space, {})
    search = SearchConfig(constraints=constraints)
    sampled = [*points(space, study.training, 8)]
    return plain_baseline(space, study.training, search, sampled, Plan(1, 1, 1, 0), FACTS, cluster)


@pytest.mark.parametrize(
    ("settings", "constraints", "backbone"),
    [
        # Of 2*resnet20, the defaults here, a branch costs what resnet20 does.
        ({"objective": "mean_branch.accuracy"}, (), "resnet20"),
        ({"objective": "best_branch.nll"}, (), "resnet20"),
        ({"objective": "fused.nll", "model.mix": "2*wrn16_2"}, (), "wrn16_2"),
        ({"objective": "fused.accuracy", "model.mix": "2*resnet8"}, (), "resnet8"),
        ({"objective": "fused.nll", "model.mix": "2*wrn16_2"}, ("macs<=4e6",), "resnet20"),
        ({"objective": "deployed.accuracy", "model.mix": "2*wrn16_2"}, ("macs<=9",), "wrn16_2"),
    ],
)
def test_it_is_the_largest_backbone_that_costs_no_more_than_what_the_defaults_are_judged_by(
    settings: dict[str, object], constraints: tuple[str, ...], backbone: str
) -> None:
    plain = found(settings, constraints)

    assert plain.config.model.mix == (backbone,)
    assert plain.config.distill.method == "independent"
    metric = parse_objective(str(settings["objective"])).metric
    assert plain.config.objective == f"deployed.{metric}"
    assert plain.config.optim.lr == 0.05


def test_it_is_trained_as_long_as_the_defaults_by_multiply_accumulates_where_nothing_is_timed() -> (
    None
):
    plain = found({"objective": "fused.nll"})

    data = DataSize(FACTS.num_classes, FACTS.num_train, FACTS.num_val)
    costs = training_costs([plain.default, plain.config], data)
    expected = 12 * costs[0].training_macs / costs[1].training_macs
    assert plain.config.optim.epochs == round(expected) > 12
    assert "by multiply-accumulates (no machine was free) as the 12 of trial 00000" in plain.words


@pytest.mark.parametrize(
    ("rounds", "epochs"),
    [
        # 1150 images to train, 287 to validate at a third, 50 ms at an epoch's end:
        # 2.5414 s an epoch of the defaults, 1.2957 s of the baseline, 12 epochs.
        ([(2e-3, 1e-3)], 24),
        # A moment's disturbance is in one round alone.
        ([(2e-3, 9e-3), (2e-3, 1e-3), (7e-3, 1e-3)], 24),
        # Where steps take next to nothing an epoch's end is all there is: as many epochs.
        ([(2e-6, 1e-6)], 12),
    ],
)
def test_it_is_trained_as_long_as_the_defaults_in_seconds_where_both_were_timed(
    rounds: list[tuple[float, float]], epochs: int
) -> None:
    plain = found({"objective": "fused.nll"}, cluster=Timing(rounds))

    assert plain.config.optim.epochs == epochs
    assert "epochs: as long as the 12 of trial 00000" in plain.words
