"""A test that is valid at any time: its closed form, and its error under peeking."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.stats import norm

from benchmarks.verdicts.racing import effects_of, raced, races
from ffl_ray.results.anytime import EFFECT_VARIANCE, anytime_quantile, e_value
from ffl_ray.results.crossed import Effect
from ffl_ray.results.verdicts import Difference, judged


def test_the_e_value_is_the_ratio_of_marginal_likelihoods() -> None:
    """Under both hypotheses the deviation has the density 1 / sigma."""
    x = np.array([0.3, 1.1, 0.8, 1.9])
    n, t = len(x), float(x.mean() / (x.std(ddof=1) / math.sqrt(4)))

    def likelihood(delta: float, log_sigma: float) -> float:
        sigma = math.exp(log_sigma)
        return float(np.prod(norm.pdf(x, delta * sigma, sigma)))

    def prior(delta: float, log_sigma: float) -> float:
        return likelihood(delta, log_sigma) * float(norm.pdf(delta, 0, EFFECT_VARIANCE**0.5))

    null = dblquad(lambda s, d: likelihood(0.0, s), 0, 1, -5, 5, epsabs=1e-9)[0]
    other = dblquad(lambda s, d: prior(d, s), -12, 12, -5, 5, epsabs=1e-9)[0]

    assert e_value(n, t) == pytest.approx(other / null, rel=1e-3)


@pytest.mark.parametrize("n", [4, 10, 20])
def test_the_interval_ends_where_the_evidence_is_one_over_alpha(n: int) -> None:
    assert e_value(n, anytime_quantile(n, 0.05)) == pytest.approx(20)


def test_two_seeds_say_nothing_at_any_time() -> None:
    effect = Effect(2, 1e9, 1.0, 0.0, anytime=True)

    assert effect.half() == effect.detectable() == math.inf
    assert effect.p_different() > 0.05


def test_the_least_p_of_all_looks_counts_and_what_was_decided_stays_so() -> None:
    clear = Effect(5, 3.0, 0.05, 0.0, anytime=True)
    unclear = Effect(6, 1.0, 0.5, 0.0, anytime=True)

    assert judged([Difference(unclear, "up")])[0].verdict == "undecided"
    found = judged([Difference(unclear, "up", looks=[clear])])[0]
    assert (found.verdict, found.p) == ("better", clear.p_different())


@pytest.mark.parametrize("images", [0.0, 1.0])
def test_looking_after_every_seed_errs_in_one_of_twenty_at_most(images: float) -> None:
    at_any_time = races(1500, 0.0, images, anytime=True)
    by_t = races(300, 0.0, 0.0, anytime=False)

    assert at_any_time["better"] + at_any_time["worse"] < 0.05 + 2.5 * math.sqrt(0.05 / 1500)
    assert by_t["better"] + by_t["worse"] > 0.1  # what it is for


def test_large_differences_take_a_third_of_the_seeds() -> None:
    found = races(200, 2.5, 0.1, anytime=True)

    assert found["better"] > 0.98
    assert found["seeds"] < 20 / 3


def test_a_race_ends_with_equal_inside_the_margin() -> None:
    differences = np.random.default_rng(0).standard_normal(20)

    assert raced(effects_of(differences, 0.0), 4.0, anytime=True).verdict == "equal"
