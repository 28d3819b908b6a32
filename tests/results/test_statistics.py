"""Intervals, against values worked by hand and tables of Student's t."""

import math

import pytest

from ffl_ray.results.statistics import (
    Summary,
    shown,
    summary,
    t_quantile,
    wilson_interval,
)


@pytest.mark.parametrize(("degrees", "expected"), [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262)])
def test_the_quantile_is_the_one_in_the_tables(degrees: int, expected: float) -> None:
    assert t_quantile(degrees) == pytest.approx(expected, abs=5e-4)


def test_mean_spread_and_interval_of_three_numbers_by_hand() -> None:
    found = summary([1.0, 2.0, 3.0])

    assert (found.n, found.mean, found.std) == (3, 2.0, 1.0)
    assert found.half == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert found.low == pytest.approx(2.0 - 2.4841, abs=1e-4)
    assert found.high == pytest.approx(2.0 + 2.4841, abs=1e-4)


def test_one_number_has_a_mean_and_no_interval() -> None:
    found = summary([0.7])

    assert found == Summary(1, 0.7, None, None, None)
    assert found.half is None
    assert shown(found, scale=100) == "70.00"


def test_missing_numbers_do_not_count() -> None:
    assert summary([None, 0.5, math.nan]) == summary([0.5])
    assert summary([None]) == Summary(0, None, None, None, None)
    assert shown([None]) == "-"


def test_a_mean_is_shown_with_half_its_interval() -> None:
    assert shown([1.0, 2.0, 3.0]) == "2.00 ± 2.48"
    assert shown([0.701, 0.702], scale=100, digits=1) == "70.2 ± 0.6"


@pytest.mark.parametrize(("hits", "count"), [(0, 5), (5, 5), (1, 3), (244, 287), (9_876, 10_000)])
def test_wilsons_interval_is_scipys(hits: int, count: int) -> None:
    from scipy.stats import binomtest  # a second, which no other test needs

    expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")

    assert wilson_interval(hits, count) == pytest.approx(tuple(expected), abs=1e-12)
