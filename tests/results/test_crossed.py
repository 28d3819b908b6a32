"""Effects over seeds and images: by hand, and against the truth of drawn trainings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.verdicts.coverage import holds
from benchmarks.verdicts.drawn import drawn
from ffl_ray.results.crossed import Effect, crossed, over_seeds
from ffl_ray.results.statistics import summary


def test_mean_squares_are_those_of_a_two_way_table_without_replication() -> None:
    values = np.array([[1.0, 2.0, 6.0], [3.0, 2.0, 10.0]])
    rows, columns, mean = [3.0, 5.0], [2.0, 2.0, 8.0], 4.0
    left = [[1 - 2 - 3 + 4, 2 - 2 - 3 + 4, 6 - 8 - 3 + 4], [3 - 2 - 5 + 4, -3 + 2, 10 - 8 - 5 + 4]]
    a = 3 * sum((row - mean) ** 2 for row in rows)
    b = 2 * sum((column - mean) ** 2 for column in columns) / 2
    e = sum(x * x for row in left for x in row) / 2

    found = crossed(values)

    assert found.mean == mean
    assert found.over_seeds == pytest.approx(a / 6)
    assert found.over_images == pytest.approx((b - e) / 6)
    assert found.least == pytest.approx(e / 6)


def test_seeds_alone_give_students_interval() -> None:
    found = summary([0.71, 0.72, 0.69])

    effect = over_seeds(found)

    assert effect.half() == pytest.approx(found.half)
    assert effect.half(0.5) < effect.half(0.05)


def test_p_is_the_alpha_at_which_the_interval_ends_at_zero() -> None:
    effect = Effect(5, 0.01, 1e-5, 3e-6)

    assert effect.half(effect.p_different()) == pytest.approx(0.01)
    assert effect.half(2 * effect.p_equal(0.03)) == pytest.approx(0.02)
    assert effect.p_equal(0.005) > 0.5  # the mean lies outside the margin
    assert Effect(5, 0.0, 1e-5, 0.0).p_different() == 1.0


@pytest.mark.parametrize(
    ("n", "deviations"), [(3, 3.26), (5, 1.68), (8, 1.16), (10, 1.00), (20, 0.66)]
)
def test_the_detectable_effect_is_that_of_a_paired_t_test(n: int, deviations: float) -> None:
    assert Effect(n, 0.0, 1 / n, 0.0).detectable() == pytest.approx(deviations, abs=0.005)


def test_seeds_that_settle_it_are_the_fewest_that_detect_what_was_measured() -> None:
    effect = Effect(5, 1.0, 1 / 5, 0.0)  # one standard deviation

    assert effect.settled_by(None) == 10
    few_images = Effect(5, 1.0, 1 / 5, 1.0)
    assert (few_images.settled_by(None), few_images.lacks_images(None)) == (None, True)


@pytest.mark.parametrize(
    ("effect", "margin"),
    [
        (Effect(5, 0.001, 1 / 5, 1e-9), None),  # no images would show so little
        (Effect(5, 0.001, 1 / 5, 1.0), None),
        (Effect(5, 0.4, 40.0, 1e-8), 0.5),  # too near to the margin, as seen of so many seeds
    ],
)
def test_what_is_too_small_to_tell_is_not_told_by_more_images(
    effect: Effect, margin: float | None
) -> None:
    assert effect.settled_by(margin) is None
    assert not effect.lacks_images(margin)


def test_what_a_race_left_open_a_fixed_plan_settles_with_fewer_seeds() -> None:
    """Its looks have a level each; the new plan has one look, at all of it."""
    once = Effect(20, 0.7, 1 / 20, 0.0)

    assert once._replace(looks=17).settled_by(None) == once.settled_by(None) == 19


@pytest.mark.parametrize(("mean", "margin"), [(0.1, 2.0), (0.0, 1.0), (0.5, 1.5)])
def test_seeds_that_settle_it_find_two_arms_equal_in_four_of_five_times(
    mean: float, margin: float
) -> None:
    n = Effect(9, mean, 1 / 9, 0.0).settled_by(margin)
    assert n is not None

    draws = np.random.default_rng(0).normal(mean, 1, (600, n))
    effects = [over_seeds(summary(row.tolist())) for row in draws]
    power = np.mean([effect.p_equal(margin) < 0.05 for effect in effects])

    assert power > 0.76


def test_two_seeds_of_equal_differences_do_not_say_that_all_would_be() -> None:
    values = np.zeros((2, 300))
    values[0, :2] = values[1, 2:4] = 1

    effect = crossed(values, step=1)

    assert effect.over_seeds == 0
    assert effect.half() > 1.96 * math.sqrt(4) / 600


@pytest.mark.parametrize("accuracies", [(0.55, 0.55), (0.99, 0.98)])
@pytest.mark.parametrize(("seeds", "images"), [(2, 300), (5, 300), (5, 1000), (20, 300)])
def test_intervals_hold_the_truth_as_often_as_they_say(
    seeds: int, images: int, accuracies: tuple[float, float]
) -> None:
    rng, repeats = np.random.default_rng(3), 300

    held = np.zeros(2)
    for _ in range(repeats):
        d = drawn(rng, seeds, images, accuracies)
        held += [
            holds(crossed(d.right, step=1), d.true_right),
            holds(crossed(d.nll), d.true_nll),
        ]

    assert (held / repeats > 0.95 - 2.6 * math.sqrt(0.05 * 0.95 / repeats)).all()
