"""What one driver can take, and the line that says so before a search starts."""

from __future__ import annotations

import pytest

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import SearchConfig
from ffl_ray.planning.driver_load import BUSY, driver_advice, driver_load
from ffl_ray.planning.forecast import Forecast


def forecast(at_once: int, trial_s: float | None, share: float = 1.0) -> Forecast:
    return Forecast(10_000, at_once, trial_s, share, 0, 0, [1], (1, 1))


def searching(sampler: str, num_samples: int = 10_000) -> SearchConfig:
    return with_overrides(SearchConfig(), {"sampler": sampler, "num_samples": num_samples})


def test_pruning_makes_trials_shorter_and_their_starts_more_frequent() -> None:
    whole = driver_load(forecast(100, 1000.0), searching("random"), 300)
    pruned = driver_load(forecast(100, 1000.0, 0.25), searching("random"), 300)

    assert whole is not None
    assert pruned is not None
    assert (whole.trials_per_s, whole.reports_per_s) == (0.1, 30.0)
    assert pruned.trials_per_s == pytest.approx(0.4)
    assert pruned.reports_per_s == pytest.approx(whole.reports_per_s)


@pytest.mark.parametrize(
    ("at_once", "trial_s", "epochs", "sampler", "words"),
    [
        (2, 10.0, 5, "tpe", None),
        (8, 36_000.0, 300, "tpe", None),
        (1000, 36_000.0, 300, "tpe", None),  # a thousand GPUs at ten hours a trial
        (1000, 60.0, 20, "random", "1,000 trials at once would send 333"),
        (1000, 300.0, 5, "tpe", None),
        (1000, 200.0, 5, "cmaes", "1,000 trials at once need 5 a second: use --sampler random"),
        (2, 36_000.0, 5, "nsga2", "nsga2 takes 0.08 s to propose a trial after 10,000: --sampler"),
        (1000, 300.0, 5, "random", None),
    ],
)
def test_it_is_advised_only_when_the_driver_would_be_busy(
    at_once: int, trial_s: float, epochs: int, sampler: str, words: str | None
) -> None:
    line = driver_advice(forecast(at_once, trial_s), searching(sampler), epochs)

    assert (line is None) == (words is None)
    assert words is None or words in str(line)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_as_many_trials_at_once_as_are_advised_are_not_advised_against(sampler: str) -> None:
    line = driver_advice(forecast(1000, 60.0), searching(sampler), 20)

    assert line is not None
    most = int(line.partition("--max-concurrent-trials ")[2].partition(",")[0])
    load = driver_load(forecast(most, 60.0), searching(sampler), 20)
    assert load is not None
    assert 0.9 * BUSY < load.busy <= BUSY
    assert driver_advice(forecast(most, 60.0), searching(sampler), 20) is None


def test_without_a_measured_speed_nothing_is_advised() -> None:
    assert driver_advice(forecast(1000, None), searching("tpe"), 20) is None
