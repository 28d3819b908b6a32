"""The sharing of one GPU by trials: as many as a measurement shows to be faster, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.planning.cost import TrainingCost
from ffl_ray.planning.layout import Machines, Plan, make_plan, most_at_once
from ffl_ray.planning.limits import CONTEXT_BYTES
from ffl_ray.planning.preflight import Preflight
from ffl_ray.planning.throughput import measure

COUNTS = (1, 2, 4, 8)
# Less is within what a second measurement would differ by, and costs memory and CPUs.
LEAST_GAIN = 1.05
# A study that takes less is over before sharing would have paid for the measurement.
LEAST_STUDY_S = 600.0
BUDGET_S = 3.0


class CallTogether(Protocol):
    """Calls a function in several processes of one machine at the same time."""

    def __call__(
        self, function: Callable[..., float], *args: Any, count: int, gpus: float
    ) -> list[float] | None:
        """The value of each call; None when no machine was free in time, or could do it.

        Args:
            function: is given, before `args`, a function that waits for all others to call it.
            gpus: share of one and the same for each call.
        """
        ...


def shared_plan(
    preflight: Preflight,
    search: SearchConfig,
    find_machines: Callable[[], Machines],
    call_together: CallTogether,
) -> Plan:
    """The plan with as many trials on each GPU as train most images a second.

    The plan stays as it is where the user has said what a trial gets, where a trial has several
    workers, on CPUs, and for a study that is short.
    """
    if preflight.typical is None or not _may_share(preflight, search):
        return preflight.plan
    machines = find_machines()
    counts = counts_that_fit(
        round(preflight.forecast.memory_bytes[-1] * preflight.memory_factor),
        preflight.gpu_memory_bytes,
        machines.cpus / machines.gpus,
        most_at_once(search) / machines.gpus,
    )
    rates = measured_rates(*preflight.typical, counts, call_together) if len(counts) > 1 else None
    if rates is None:
        return preflight.plan
    shared = search.model_copy(update={"gpus_per_trial": 1 / best_count(rates)})
    return make_plan(shared, machines)


def _may_share(preflight: Preflight, search: SearchConfig) -> bool:
    plan, expected_s = preflight.plan, preflight.forecast.seconds()
    return (
        search.gpus_per_trial is None
        and plan.num_workers == 1
        and plan.gpus_per_worker == 1
        and (expected_s is None or max(expected_s) >= LEAST_STUDY_S)
    )


def counts_that_fit(
    memory_bytes: int, gpu_memory_bytes: int | None, cpus_per_gpu: float, trials_per_gpu: float
) -> list[int]:
    """Counts of trials on one GPU that are worth measuring.

    Args:
        memory_bytes: of the trial that needs most.
        gpu_memory_bytes: free on the fullest GPU; none when not known.
        cpus_per_gpu: each trial needs one to feed the GPU.
        trials_per_gpu: at once, were they spread evenly. Ray fills a GPU before it takes the
            next, so that with a larger count some would be idle.
    """
    room = gpu_memory_bytes or 0
    return [
        count
        for count in COUNTS
        if count == 1
        or (
            count * (memory_bytes + CONTEXT_BYTES) <= room
            and count <= cpus_per_gpu
            and count <= trials_per_gpu
        )
    ]


def best_count(rates: Mapping[int, float]) -> int:
    """The count of trials at once that trains most images a second, over all of them.

    A larger count must be `LEAST_GAIN` times as fast as the best smaller one.

    Args:
        rates: images per second over all trials, by count.
    """
    best = min(rates)
    for count in sorted(rates):
        if rates[count] >= LEAST_GAIN * rates[best]:
            best = count
    return best


def measured_rates(
    config: Config,
    cost: TrainingCost,
    counts: Sequence[int],
    call_together: CallTogether,
    *,
    device: str = "cuda",
) -> Mapping[int, float] | None:
    """Images per second of one GPU, over all trainings that share it, by their count.

    The trainings of a count wait for each other once they are ready and warm, so that each is
    timed beside the others. A count that can't be measured (its memory does not do) ends it.

    Returns:
        None when not even one could be.
    """
    rates: dict[int, float] = {}
    for count in counts:
        share = 1 / count if device == "cuda" else 0
        found = call_together(_rate, flatten(config), cost, device, count=count, gpus=share)
        if found is None:
            return rates or None
        rates[count] = sum(found)
    return rates


def _rate(
    wait: Callable[[], None], settings: Mapping[str, Any], cost: TrainingCost, device: str
) -> float:
    [timed] = measure([resolved_from(settings)], [cost], 1, device, BUDGET_S, wait)
    return 1 / timed.seconds_per_image
