"""Distributions of a space's parameters: gathered, widened, and values in them."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ffl_ray.search.distributions import gathered, nearest_value, read_value, widest

TEMPERATURE = FloatDistribution(1.0, 8.0, log=True)
DESIGN = CategoricalDistribution(["sum", None, 2])


def test_the_widest_range_holds_the_ranges_of_all_trials() -> None:
    found = gathered(
        [
            {"count": IntDistribution(0, 2), "kind": CategoricalDistribution(["a", "b"])},
            {"count": IntDistribution(0, 4), "kind": CategoricalDistribution(["b", "c"])},
            {"x": TEMPERATURE},
        ]
    )

    assert {name: widest(kinds) for name, kinds in found.items()} == {
        "count": IntDistribution(0, 4),
        "kind": CategoricalDistribution(["a", "b", "c"]),
        "x": TEMPERATURE,
    }


@pytest.mark.parametrize(
    ("kind", "value", "nearest"),
    [
        (TEMPERATURE, 3, 3.0),
        (TEMPERATURE, 20.0, 8.0),
        (TEMPERATURE, None, 1.0),
        (IntDistribution(6, 24, step=6), 300, 24),
        (IntDistribution(6, 24, step=6), 13, 12),
        (FloatDistribution(0.1, 0.5, step=0.2), 0.32, 0.3),
        (DESIGN, None, None),
        (DESIGN, "gated", "sum"),
    ],
)
def test_a_value_becomes_the_nearest_in_a_range(kind: Any, value: Any, nearest: Any) -> None:
    assert nearest_value(kind, value) == nearest


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(TEMPERATURE, "2.5", 2.5), (DESIGN, "none", None), (DESIGN, "2", 2), (DESIGN, "sum", "sum")],
)
def test_a_text_is_read_as_the_value_that_it_means(kind: Any, text: str, value: Any) -> None:
    assert read_value([IntDistribution(90, 91), kind], text) == value


@pytest.mark.parametrize("text", ["9", "x", "", "nan"])
def test_a_text_that_means_no_value_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be 1.0 to 8.0, logarithmic"):
        read_value([TEMPERATURE], text)
