"""What one training will take: it is measured beforehand where that may be long."""

from __future__ import annotations

import pytest

from ffl_ray.config.methods import resolved_from
from ffl_ray.data.facts import DataFacts
from ffl_ray.orchestration.train_plan import is_long
from ffl_ray.planning.layout import Plan


@pytest.mark.parametrize(
    ("settings", "images", "gpus", "long"),
    [
        ({"data.name": "digits", "optim.epochs": 12}, 1_151, 0, False),
        ({"data.name": "cifar10", "optim.epochs": 300}, 45_000, 0, True),
        ({"data.name": "cifar10", "optim.epochs": 1}, 4_500, 0, False),
        ({"data.name": "cifar10", "optim.epochs": 20}, 45_000, 1, False),
        ({"data.name": "cifar10", "optim.epochs": 300}, 45_000, 1, True),
    ],
)
def test_a_plan_comes_before_hours_and_not_before_seconds(
    settings: dict[str, object], images: int, gpus: int, long: bool
) -> None:
    facts = DataFacts(num_train=images, num_val=images // 10, num_classes=10)

    assert is_long(resolved_from(settings), Plan(1, 1, 1, gpus), facts) == long
