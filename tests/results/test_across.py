"""One effect over data sets: by hand, and as often right as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ffl_ray.results.across import over_data_sets
from ffl_ray.results.crossed import over_seeds
from ffl_ray.results.statistics import summary


def test_equal_variances_give_students_interval_over_data_sets() -> None:
    means = [0.01, 0.05, -0.02, 0.03]

    found = over_data_sets(means, [1e-6] * 4)

    expected = over_seeds(summary(means))
    assert found.mean == pytest.approx(expected.mean)
    assert found.half() == pytest.approx(expected.half())


def test_precise_data_sets_weigh_more_where_all_agree() -> None:
    found = over_data_sets([0.01, 0.02], [1e-6, 1e-4])

    assert 0.01 < found.mean < 0.012
    assert found.half() > 1.96 * math.sqrt(1 / (1e6 + 1e4))  # never narrower than one model for all


@pytest.mark.parametrize("between", [0.0, 1.0])
@pytest.mark.parametrize("count", [2, 5])
def test_its_interval_holds_the_truth_in_nineteen_of_twenty_cases(
    count: int, between: float
) -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(800):
        variances = rng.uniform(0.2, 2, count)
        means = rng.normal(0, between, count) + rng.normal(0, np.sqrt(variances))
        effect = over_data_sets(means.tolist(), variances.tolist())
        held += abs(effect.mean) <= effect.half()

    assert held / 800 > 0.95 - 0.025
