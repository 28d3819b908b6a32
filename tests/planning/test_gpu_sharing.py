"""How many trials share a GPU."""

from collections.abc import Callable

import pytest
from support.helpers import small_config

from ffl_ray.config.settings import SearchConfig
from ffl_ray.planning.cost import TrainingCost
from ffl_ray.planning.forecast import Forecast
from ffl_ray.planning.gpu_sharing import best_count, counts_that_fit, measured_rates, shared_plan
from ffl_ray.planning.layout import Machines, Plan, make_plan
from ffl_ray.planning.limits import CONTEXT_BYTES, Room
from ffl_ray.planning.preflight import Preflight

GB = 10**9


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({1: 100.0}, 1),
        ({1: 100.0, 2: 104.0, 4: 104.9}, 1),
        ({1: 100.0, 2: 150.0, 4: 190.0, 8: 195.0}, 4),
        ({1: 100.0, 2: 90.0, 4: 120.0}, 4),
    ],
)
def test_more_trials_share_a_gpu_where_all_together_are_faster(
    rates: dict[int, float], expected: int
) -> None:
    assert best_count(rates) == expected


@pytest.mark.parametrize(
    ("memory", "gpu", "cpus", "trials", "expected"),
    [
        (GB, 80 * GB, 16, 100, [1, 2, 4, 8]),
        (GB, 80 * GB, 4, 100, [1, 2, 4]),
        (GB, 80 * GB, 16, 3.5, [1, 2]),
        (GB, 80 * GB, 16, 0.25, [1]),
        (20 * GB, 80 * GB, 16, 100, [1, 2]),
        (GB, None, 16, 100, [1]),
        (4 * GB - CONTEXT_BYTES, 16 * GB, 8, 8, [1, 2, 4]),
    ],
)
def test_counts_are_tried_that_fit_memory_and_processors(
    memory: int, gpu: int | None, cpus: float, trials: float, expected: list[int]
) -> None:
    assert counts_that_fit(memory, gpu, cpus, trials) == expected


def preflight(plan: Plan, trial_s: float, memory_factor: float = 1.0) -> Preflight:
    cost = TrainingCost(10**6, 10**7, 3 * 10**7, 10**7, GB)
    expected = Forecast(100, 1, trial_s, 0.5, GB, 10**7, [GB], (1, 2))
    return Preflight(
        plan,
        expected,
        Room(GB, True, GB),
        0,
        None,
        [],
        typical=(small_config(), cost),
        gpu_memory_bytes=80 * GB,
        memory_factor=memory_factor,
    )


@pytest.mark.parametrize(
    ("search", "trial_s", "measured"),
    [
        ({}, 600.0, True),
        ({}, 1.0, False),
        ({"gpus_per_trial": 1.0}, 600.0, False),
        ({"num_workers": 2}, 600.0, False),
    ],
)
def test_a_gpu_is_shared_by_measurement_unless_the_user_or_the_study_s_length_says_otherwise(
    search: dict[str, float], trial_s: float, measured: bool
) -> None:
    settings = SearchConfig.model_validate({"num_samples": 100, **search})
    machines = Machines(32, 4, 32, 4)
    plan = make_plan(settings, machines)

    def call_together(
        function: Callable[..., float], *args: object, count: int, gpus: float
    ) -> list[float]:
        assert gpus == 1 / count
        return [{1: 100.0, 2: 90.0, 4: 75.0, 8: 30.0}[count]] * count

    shared = shared_plan(preflight(plan, trial_s), settings, lambda: machines, call_together)

    if measured:
        assert shared == Plan(16, 1, 2, 0.25)
    else:
        assert shared == plan


@pytest.mark.parametrize(
    ("search", "memory_factor", "most"),
    [
        ({"num_samples": 8}, 1, 1),
        ({"num_samples": 16}, 1, 2),
        ({"num_samples": 100, "max_concurrent_trials": 32}, 1, 4),
        ({"num_samples": 100}, 10, 4),
    ],
)
def test_whole_gpus_are_busy_before_they_are_shared_and_memory_is_as_measured(
    search: dict[str, int], memory_factor: float, most: int
) -> None:
    settings = SearchConfig.model_validate(search)
    machines = Machines(128, 8, 128, 8)
    plan = make_plan(settings, machines)
    asked = []

    def call_together(
        function: Callable[..., float], *args: object, count: int, gpus: float
    ) -> list[float]:
        asked.append(count)
        return [100.0] * count

    found = preflight(plan, 600.0, memory_factor)
    shared = shared_plan(found, settings, lambda: machines, call_together)

    assert max(asked, default=1) == most
    assert shared.gpus_per_worker == 1 / most
    assert shared.max_concurrent_trials >= 8


def test_a_count_that_does_not_fit_keeps_the_rates_of_those_that_do() -> None:
    def call_together(
        function: Callable[..., float], *args: object, count: int, gpus: float
    ) -> list[float] | None:
        return [100.0] * count if count < 4 else None

    cost = TrainingCost(10**6, 10**7, 3 * 10**7, 10**7, GB)

    assert measured_rates(small_config(), cost, [1, 2, 4, 8], call_together) == {1: 100, 2: 200}
