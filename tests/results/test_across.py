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


def test_it_is_what_statsmodels_says_and_holds_where_that_has_none() -> None:
    """`combine_effects(..., method_re="dl")` of statsmodels 0.14: mean_effect_re, sd_eff_w_re_hksj.

    Where the moments give a variance between data sets below 0, it has no interval; ours has.
    """
    found = over_data_sets([0.010, 0.004, 0.021, -0.002], [1e-5, 4e-6, 2e-5, 9e-6])

    assert found.mean == pytest.approx(0.0076532313727, rel=1e-9)
    assert math.sqrt(found.over_seeds) == pytest.approx(0.0047396267053, rel=1e-9)
    assert math.isfinite(over_data_sets([0.010, 0.008], [1e-5, 4e-6]).half())


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
