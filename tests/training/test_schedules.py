"""Ramp-up and learning rate by hand values."""

import math
import statistics

import pytest

from ffl_ray.config.methods import METHODS
from ffl_ray.distill.terms import SCHEDULES
from ffl_ray.training.schedules import (
    cosine_lr,
    linear_lr,
    ramp_up,
    schedule_weights,
    step_lr,
    warmup_lr,
)


@pytest.mark.parametrize(
    ("epoch", "weight"),
    [(0, 0.00674), (1, 0.00763), (5, 0.01235), (10, 0.02175), (20, 0.06006), (40, 0.28651),
     (60, 0.73162), (70, 0.92485), (79, 0.99922), (80, 1.0), (299, 1.0)],
)  # fmt: skip
def test_ramp_up_over_80_epochs_has_the_published_values(epoch: int, weight: float) -> None:
    assert ramp_up(epoch, epochs=300, share=80 / 300) == pytest.approx(weight, abs=1e-5)


@pytest.mark.parametrize("share", sorted({m.ramp_up for m in METHODS.values()} | {0.8, 1.0}))
def test_the_mean_distill_weight_is_that_of_its_share_whatever_the_length(share: float) -> None:
    r = share * 300
    published = [math.exp(-5 * (1 - min(t, r) / r) ** 2) if r else 1.0 for t in range(300)]
    mean = pytest.approx(statistics.fmean(published), abs=1e-12)
    for epochs in range(1, 301):
        weights = [ramp_up(epoch, epochs=epochs, share=share) for epoch in range(epochs)]

        assert statistics.fmean(weights) == mean
        assert weights == sorted(weights)
    assert weights == published


def test_no_ramp_up_means_full_weight_from_the_start() -> None:
    assert ramp_up(0, epochs=4, share=0) == 1.0


def test_steps_fall_at_epochs_150_and_225_of_300() -> None:
    def lr(epoch: int) -> float:
        return step_lr(epoch, epochs=300, lr=0.1, milestones=(0.5, 0.75), decay=0.1)

    assert [lr(e) for e in (0, 149, 150, 224, 225, 299)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )


def test_cosine_falls_from_lr_through_half_towards_zero() -> None:
    values = [cosine_lr(epoch, epochs=10, lr=0.2) for epoch in range(10)]

    assert values[0] == 0.2
    assert values[5] == pytest.approx(0.1)
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


def test_linear_falls_in_equal_steps_towards_zero() -> None:
    values = [linear_lr(epoch, epochs=5, lr=0.2) for epoch in range(5)]

    assert values == pytest.approx([0.2, 0.16, 0.12, 0.08, 0.04])


def test_warm_up_rises_in_equal_steps_to_lr() -> None:
    values = [warmup_lr(epoch, warmup_epochs=4, lr=0.2) for epoch in range(4)]

    assert values == pytest.approx([0.05, 0.1, 0.15, 0.2])


@pytest.mark.parametrize("share", [0.0, 0.1, 80 / 300, 1.0])
def test_straight_schedules_have_the_mean_of_their_line_whatever_the_length(share: float) -> None:
    for epochs in (1, 2, 7, 30, 300):
        weights = [
            schedule_weights(epoch, epochs=epochs, ramp_up_share=share) for epoch in range(epochs)
        ]
        by_name = {name: [each[name] for each in weights] for name in SCHEDULES}

        assert set(by_name["none"]) == {1.0}
        assert statistics.fmean(by_name["linear"]) == pytest.approx(0.5, abs=1e-12)
        assert {each["linear"] + each["decay"] for each in weights} == {1.0}
        assert statistics.fmean(by_name["warm_up"]) == pytest.approx(1 - share / 2, abs=1e-12)
        assert by_name["warm_up"] == sorted(by_name["warm_up"])
        assert by_name["ramp"] == [ramp_up(e, epochs=epochs, share=share) for e in range(epochs)]
