"""Trials side by side on one GPU, timed before a study starts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.planning.cost import TrainingCost
from ffl_ray.planning.gpu_sharing import best_count, counts_that_fit
from ffl_ray.planning.layout import Machines, Plan, make_plan
from ffl_ray.planning.preflight import Preflight

# A study that takes less is over before sharing would have paid for the measurement.
LEAST_STUDY_S = 600.0
TIMEOUT_S = 120.0
BUDGET_S = 3.0


def shared_plan(
    preflight: Preflight, search: SearchConfig, find_machines: Callable[[], Machines]
) -> Plan:
    """The plan with as many trials on each GPU as train most images a second.

    The plan stays as it is where the user has said what a trial gets, where a trial has several
    workers, on CPUs, and for a study that is short.
    """
    plan = preflight.plan
    expected = preflight.forecast.seconds()
    if (
        search.gpus_per_trial is not None
        or plan.num_workers > 1
        or plan.gpus_per_worker != 1
        or (expected is not None and max(expected) < LEAST_STUDY_S)
        or preflight.typical is None
    ):
        return plan
    machines = find_machines()
    counts = counts_that_fit(
        preflight.forecast.memory_bytes[-1],
        preflight.gpu_memory_bytes,
        machines.cpus / machines.gpus,
        search.num_samples,
    )
    if counts == [1]:
        return plan
    rates = measured_rates(*preflight.typical, counts, device="cuda")
    if rates is None:
        return plan
    shared = search.model_copy(update={"gpus_per_trial": 1 / best_count(rates)})
    return make_plan(shared, machines)


def measured_rates(
    config: Config, cost: TrainingCost, counts: Sequence[int], *, device: str
) -> Mapping[int, float] | None:
    """Images per second of one GPU, over all trainings that share it, by their count.

    The trainings of a count wait for each other before they begin, so that each is timed beside
    the others.

    Returns:
        None when the machines were not free within two minutes.
    """
    import ray
    from ray.exceptions import GetTimeoutError

    rates: dict[int, float] = {}
    for count in counts:
        gate: Any = ray.remote(num_cpus=0)(Gate).remote(count)
        share = 1 / count if device == "cuda" else 0
        task = ray.remote(num_cpus=1, num_gpus=share)(_rate)
        asked = [task.remote(flatten(config), cost, device, gate) for _ in range(count)]
        try:
            rates[count] = sum(ray.get(asked, timeout=TIMEOUT_S))
        except GetTimeoutError:
            for one in asked:
                ray.cancel(one, force=True)
            return rates or None
        finally:
            ray.kill(gate)
    return rates


class Gate:
    """An actor that opens once enough have come."""

    def __init__(self, count: int) -> None:
        self._missing = count
        self._open = asyncio.Event()

    async def wait(self) -> None:
        """Come, and wait for the others."""
        self._missing -= 1
        if self._missing <= 0:
            self._open.set()
        await self._open.wait()


def _rate(settings: Mapping[str, Any], cost: TrainingCost, device: str, gate: Any) -> float:
    import ray

    from ffl_ray.planning.throughput import measure

    config = with_overrides(Config(), settings)
    measure([config], [cost], 1, device)
    ray.get(gate.wait.remote())
    [timed] = measure([config], [cost], 1, device, BUDGET_S)
    return 1 / timed.seconds_per_image
