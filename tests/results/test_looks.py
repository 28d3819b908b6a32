"""A test that is looked at after every seed: its levels, and its error over all looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t

from benchmarks.verdicts.racing import LOOKS, effects_of, false_of, raced, races
from benchmarks.verdicts.shapes import peeking, shapes
from ffl_ray.results.crossed import Effect
from ffl_ray.results.looks import MOST_SEEDS, nominal
from ffl_ray.results.verdicts import Difference, judged


def test_one_look_has_the_whole_level_and_each_of_several_at_least_its_share() -> None:
    assert nominal(0.03, 1) == 0.03
    for alpha in (1e-6, 1e-3, 0.05, 1 - 1e-12):
        assert alpha / 17 <= nominal(alpha, 17) < alpha


@pytest.mark.parametrize(
    ("alpha", "looks", "first"), [(0.05, 17, 4), (0.05, 2, 4), (0.004, 17, 4), (0.05, 6, 8)]
)
def test_all_looks_together_err_as_often_as_is_asked_for(
    alpha: float, looks: int, first: int
) -> None:
    """Of fresh draws, each look with a t of its own seeds."""
    rng, level, repeats = np.random.default_rng(1), nominal(alpha, looks, first), 40_000
    values = rng.standard_normal((repeats, first - 1 + looks))
    passed = np.zeros(repeats, bool)
    for n in range(first, first + looks):
        some = values[:, :n]
        statistic = some.mean(1) / some.std(1, ddof=1) * math.sqrt(n)
        passed |= abs(statistic) >= t.isf(level / 2, n - 1)

    error = math.sqrt(alpha / repeats)
    assert 0.9 * alpha - 3 * error < passed.mean() < alpha + 3 * error


def test_fewer_seeds_than_the_first_look_has_say_nothing() -> None:
    effect = Effect(2, 1e9, 1.0, 0.0, looks=17)

    later = Effect(5, 1e9, 1.0, 0.0, looks=16, first=6)

    for one in (effect, later):
        assert one.half() == one.detectable() == math.inf
        assert one.p_different() > 0.05


def test_the_least_p_of_all_looks_counts_and_what_was_decided_stays_so() -> None:
    clear = Effect(5, 3.0, 0.05, 0.0, looks=17)
    unclear = Effect(6, 1.0, 0.5, 0.0, looks=17)

    assert judged([Difference(unclear, "up")])[0].verdict == "undecided"
    found = judged([Difference(unclear, "up", looks=[clear])])[0]
    assert (found.verdict, found.p) == ("better", clear.p_different())


def test_what_was_equal_may_become_better_and_not_the_other_way() -> None:
    small = Effect(4, 0.1, 0.0004, 0.0, looks=17)
    clear = Effect(12, 0.2, 0.001, 0.0, looks=17)

    def verdict(now: Effect, *before: Effect) -> str:
        return judged([Difference(now, "up", 0.5, before)])[0].verdict

    assert (verdict(small), verdict(clear, small)) == ("equal", "better")
    assert verdict(clear) == verdict(small, clear) == "better"


@pytest.mark.parametrize("images", [0.0, 1.0])
def test_looking_after_every_seed_errs_in_one_of_twenty_at_most(images: float) -> None:
    allowed_for = races(1500, 0.0, images)
    by_t = races(300, 0.0, 0.0, looks=1)

    assert allowed_for["better"] + allowed_for["worse"] < 0.05 + 2.5 * math.sqrt(0.05 / 1500)
    assert by_t["better"] + by_t["worse"] > 0.1  # what it is for


@pytest.mark.parametrize("images", [0.05, 0.2])
def test_a_race_of_the_most_seeds_errs_in_one_of_twenty_at_most(images: float) -> None:
    assert false_of(10_000, MOST_SEEDS, images) < 0.05 + 2.5 * math.sqrt(0.05 / 10_000)


def test_a_race_of_three_times_as_many_would_err_more_often() -> None:
    assert false_of(10_000, 3 * MOST_SEEDS, 0.2) > 0.05 + 2.5 * math.sqrt(0.05 / 10_000)


def test_large_differences_take_a_third_of_the_seeds() -> None:
    found = races(200, 2.5, 0.1)

    assert found["better"] > 0.98
    assert found["seeds"] < 20 / 3


def test_a_race_ends_with_equal_inside_the_margin() -> None:
    differences = np.random.default_rng(0).standard_normal(20)

    assert raced(effects_of(differences, 0.0), 4.0, looks=LOOKS).verdict == "equal"


def test_whoever_looks_after_each_seed_is_wrong_as_often_as_the_page_says() -> None:
    found = peeking(20_000).set_index("seeds")["false"]

    assert found[2] == pytest.approx(0.05, abs=0.006)
    assert found[5] == pytest.approx(0.134, abs=0.01)
    assert found.is_monotonic_increasing


def test_equal_levels_end_first_where_a_difference_is_large() -> None:
    found = shapes(4_000).set_index("levels")["2"].str.split(", ").str[1].astype(float)

    assert found["Pocock"] < found["between both"] < found["O'Brien and Fleming"]
    [of_race] = races(400, 2.0, 0.0)[["seeds"]]
    assert found["Pocock"] == pytest.approx(of_race, abs=0.3)
