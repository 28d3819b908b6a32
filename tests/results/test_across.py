"""One effect over data sets: by hand, and as often right as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ffl_ray.results.across import of_another, over_data_sets
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


def test_another_data_set_is_expected_in_an_interval_that_is_wider() -> None:
    means, variances = [0.01, 0.05, -0.02, 0.03, 0.0], [1e-9] * 5
    deviation = np.std(means, ddof=1)

    found = of_another(means, variances)

    assert found is not None
    assert found.mean == pytest.approx(np.mean(means))
    assert found.half == pytest.approx(3.1824463 * deviation * math.sqrt(1 + 1 / 5), rel=1e-4)
    assert of_another(means[:2], variances[:2]) is None


@pytest.mark.parametrize("between", [0.3, 2.0])
def test_another_data_set_lies_in_the_interval_that_is_its_own(between: float) -> None:
    """And in that of the mean, which the verdict is on, far more seldom than in 95%."""
    rng, held, mean_held = np.random.default_rng(0), 0, 0
    for _ in range(800):
        variances = rng.uniform(0.2, 1, 5)
        means = rng.normal(0, between, 5) + rng.normal(0, np.sqrt(variances))
        new, found = rng.normal(0, between), of_another(means.tolist(), variances.tolist())
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        effect = over_data_sets(means.tolist(), variances.tolist())
        held += found.low <= new <= found.high
        mean_held += abs(effect.mean - new) <= effect.half()

    assert held / 800 > 0.92
    assert mean_held < held
