"""How many trials share a GPU, and in which way."""

import math
from collections.abc import Callable
from threading import BrokenBarrierError

import pytest
from support.helpers import small_config

from ffl_ray.config.settings import SearchConfig
from ffl_ray.planning import gpu_sharing
from ffl_ray.planning.cost import TrainingCost
from ffl_ray.planning.forecast import Forecast
from ffl_ray.planning.gpu_sharing import (
    Shared,
    Way,
    best_way,
    measured_rates,
    shared_plan,
    sharing_text,
    ways_that_fit,
)
from ffl_ray.planning.layout import Machines, Plan, make_plan
from ffl_ray.planning.limits import CONTEXT_BYTES, Node, Room, worker_room
from ffl_ray.planning.preflight import Preflight
from ffl_ray.planning.throughput import Timed

GB = 10**9


def one_each(*rates: float) -> dict[Way, float]:
    """Rates in processes of their own, of 1, 2, 4 and 8."""
    return {Way(count): rate for count, rate in zip((1, 2, 4, 8), rates, strict=False)}


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (one_each(100.0), Way(1)),
        (one_each(100.0, 104.0, 104.9), Way(1)),
        (one_each(100.0, 150.0, 190.0, 195.0), Way(4)),
        (one_each(100.0, 90.0, 120.0), Way(4)),
        (one_each(100.0, 126.0, 136.0) | {Way(2, True): 131.0, Way(4, True): 140.0}, Way(4)),
        (one_each(100.0, 126.0, 136.0, 141.0) | {Way(4, True): 202.0}, Way(4, True)),
        # As on an H200.
        (
            one_each(100.0, 126.0, 136.0, 141.0)
            | {Way(2, True): 152.0, Way(4, True): 202.0, Way(8, True): 233.0},
            Way(8, True),
        ),
    ],
)
def test_trials_share_a_gpu_as_many_and_in_the_way_in_which_all_together_are_faster(
    rates: dict[Way, float], expected: Way
) -> None:
    assert best_way(rates) == expected


def test_what_was_measured_of_a_gpu_is_said() -> None:
    rates = one_each(27_300.0, 34_400.0) | {Way(2, True): 41_500.0, Way(4, True): 55_140.0}

    assert sharing_text(rates) == (
        "images/s of a GPU: alone 27,300; in processes of their own 2: 34,400; in one process "
        "2: 41,500, 4: 55,140: 4 share it in one process"
    )
    ways = [Way(1), Way(2), Way(2, True), Way(4, True)]
    assert sharing_text(one_each(100.0, 90.0), ways).endswith(
        "own 2: 90; in one process 2: not measured, 4: not measured: none share it"
    )


@pytest.mark.parametrize(
    ("memory", "gpu", "cpus", "trials", "expected"),
    [
        (GB, 80 * GB, 16, 100, [2, 4, 8]),
        (GB, 80 * GB, 4, 100, [2, 4]),
        (GB, 80 * GB, 16, 3.5, [2]),
        (GB, 80 * GB, 16, 0.25, []),
        (20 * GB, 80 * GB, 16, 100, [2]),
        (GB, None, 16, 100, []),
        (4 * GB - CONTEXT_BYTES, 16 * GB, 8, 8, [2, 4]),
    ],
)
def test_counts_are_tried_that_fit_memory_and_processors(
    memory: int, gpu: int | None, cpus: float, trials: float, expected: list[int]
) -> None:
    found = ways_that_fit(memory, gpu, cpus, trials, "off")

    assert found == [Way(1), *map(Way, expected)]


def test_one_process_has_one_context_and_is_tried_as_the_user_says() -> None:
    room = 8 * GB + CONTEXT_BYTES

    assert ways_that_fit(GB, room, 16, 16, "auto") == [
        Way(1), Way(2), Way(2, True), Way(4), Way(4, True), Way(8, True)
    ]  # fmt: skip
    assert ways_that_fit(GB, room, 16, 16, "on") == [Way(1), *(Way(n, True) for n in (2, 4, 8))]
    shares = Plan(8, 1, 1, 0.125)
    node = Node(True, 8, 1, gpu_memory_bytes=room)
    assert worker_room(shares._replace(in_one_process=True), [node]).bytes == GB
    assert worker_room(shares, [node]).bytes == room // 8 - CONTEXT_BYTES


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
    ) -> list[float] | None:
        assert gpus == 1 / count
        return [{1: 100.0, 2: 90.0, 4: 75.0, 8: 30.0}[count]] * count if len(args) == 3 else None

    shared = shared_plan(preflight(plan, trial_s), settings, lambda: machines, call_together)

    if measured:
        assert shared.plan == Plan(16, 1, 2, 0.25)
        assert shared.slowdown == pytest.approx(4 / 3)
    else:
        assert shared == Shared(plan)


def test_threads_of_one_process_are_taken_where_they_are_faster() -> None:
    settings, machines = SearchConfig(num_samples=100), Machines(32, 4, 32, 4)
    found = preflight(make_plan(settings, machines), 600.0)

    def call_together(
        function: Callable[..., float], *args: object, count: int, gpus: float
    ) -> list[float] | None:
        assert gpus == 1 / count
        # What four processes can't do is no word on the other way.
        rates = {"": 140.0, "2": 150.0, "4": 200.0, "8": 230.0}
        threads = "".join(map(str, args[3:]))
        return None if count == 4 else [rates[threads] / count] * count

    shared = shared_plan(found, settings, lambda: machines, call_together)

    assert shared.plan == Plan(32, 1, 1, 0.125, in_one_process=True)
    assert "in one process 2: 150, 4: 200, 8: 230" in shared.sharing
    assert "own 2: 140, 4: not measured, 8: not measured;" in shared.sharing


@pytest.mark.parametrize(("one_process", "taken"), [("on", True), ("auto", False), ("off", False)])
def test_where_the_user_says_what_a_trial_gets_one_process_is_what_the_user_says(
    one_process: str, taken: bool
) -> None:
    search = {"gpus_per_trial": 0.5, "one_process": one_process}
    settings, machines = SearchConfig.model_validate(search), Machines(8, 1, 8, 1)

    assert make_plan(settings, machines).in_one_process == taken
    assert not make_plan(settings, machines, device="cpu").in_one_process
    alone = settings.model_copy(update={"gpus_per_trial": 1.0})
    assert not make_plan(alone, machines).in_one_process


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
    settings = SearchConfig.model_validate(search | {"one_process": "off"})
    machines = Machines(128, 8, 128, 8)
    plan = make_plan(settings, machines)
    asked = []

    def call_together(
        function: Callable[..., float], *args: object, count: int, gpus: float
    ) -> list[float]:
        asked.append(count)
        return [100.0] * count

    found = preflight(plan, 600.0, memory_factor)
    shared = shared_plan(found, settings, lambda: machines, call_together).plan

    assert max(asked, default=1) == most
    assert shared.gpus_per_worker == 1 / most
    assert shared.max_concurrent_trials >= 8


def test_a_count_that_does_not_fit_keeps_the_rates_of_those_that_do() -> None:
    def call_together(
        function: Callable[..., float], *args: object, count: int, gpus: float
    ) -> list[float] | None:
        return [100.0] * count if count < 4 else None

    cost = TrainingCost(10**6, 10**7, 3 * 10**7, 10**7, GB)

    ways = [Way(count) for count in (1, 2, 4, 8)]
    assert measured_rates(small_config(), cost, ways, call_together) == one_each(100, 200)


def here(
    function: Callable[..., float], *args: object, count: int, gpus: float
) -> list[float] | None:
    return [function(lambda: None, *args)]


def test_threads_are_timed_beside_each_other_and_must_learn_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu_sharing, "BUDGET_S", 0.01)
    config = small_config(data__fraction=0.1)
    cost = TrainingCost(10**6, 10**7, 3 * 10**7, 10**7, GB)

    found = measured_rates(config, cost, [Way(1), Way(2, True)], here, device="cpu")

    assert found is not None
    assert min(found.values()) > 0
    losses = iter([-1e-9, 1e-9, 2.3, math.nan])
    monkeypatch.setattr(gpu_sharing, "measure", lambda *_: [Timed(1, 1.0, None, next(losses))])
    assert measured_rates(config, cost, [Way(2, True)], here, device="cpu") == {Way(2, True): 2.0}
    with pytest.raises(RuntimeError, match="in 2 threads has losses of"):
        measured_rates(config, cost, [Way(2, True)], here, device="cpu")
    broken = iter([BrokenBarrierError(), MemoryError("full")])
    monkeypatch.setattr(gpu_sharing, "measure", lambda *_: raised(next(broken)))
    with pytest.raises(MemoryError):
        measured_rates(config, cost, [Way(2, True)], here, device="cpu")


def raised(error: BaseException) -> list[Timed]:
    raise error
