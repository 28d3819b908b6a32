"""The preflight of a study: its cost measured and computed, and held against the machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config, ResolvedConfig, SearchConfig
from ffl_ray.data.facts import DataFacts
from ffl_ray.planning.cost import DataSize, TrainingCost, training_costs
from ffl_ray.planning.driver_load import driver_advice
from ffl_ray.planning.forecast import Forecast, forecast, sampled_points, spread
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.limits import (
    Node,
    Room,
    check_disk,
    check_memory,
    check_storage,
    worker_room,
)
from ffl_ray.planning.member_costs import check_grid, checked_constraints
from ffl_ray.planning.nodes import Cluster, free_disk, mounts
from ffl_ray.planning.pruning import pruning_advice
from ffl_ray.planning.throughput import BUDGET_S, Timed, fit, measure
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.points import Point, effect_advice
from ffl_ray.search.space import SearchSpace

ROUNDS = 3
# Of what is timed until it gets no faster, by this share of the time at least.
MOST_ROUNDS, GAIN = 6, 0.1


class Preflight(NamedTuple):
    """Everything that is known of a study before it starts.

    Attributes:
        plan: how it is laid out.
        forecast: what it will take.
        room: memory for each worker.
        misfits: how many of the sampled configs do not fit that memory.
        free_disk_bytes: where its folder is; none in an object store.
        sampled: the points that the forecast is made from.
        typical: the dearest config that was timed, with its cost; none when none was.
        gpu_memory_bytes: free on the fullest GPU; none without one.
        advice: what to change, a line each: the driver would hold the trials up, or they would be
            stopped before they learned, or a searched setting has no effect at some points.
        facts: of the data.
        constraints: how many sampled configs keep those that a network decides; empty: none does.
        memory_factor: how many times the estimated memory the timed ones held of a GPU that they
            had to themselves.
        sharing: how trials share a GPU, with what was measured of it; empty: nothing was.
    """

    plan: Plan
    forecast: Forecast
    room: Room
    misfits: int
    free_disk_bytes: int | None
    sampled: list[Point]
    typical: tuple[ResolvedConfig, TrainingCost] | None = None
    gpu_memory_bytes: int | None = None
    advice: Sequence[str] = ()
    facts: DataFacts = DataFacts()
    constraints: str = ""
    memory_factor: float = 1.0
    sharing: str = ""


def run_preflight(
    space: SearchSpace,
    base: Config,
    search: SearchConfig,
    plan: Plan,
    facts: DataFacts,
    storage: Storage,
    cluster: Cluster,
) -> Preflight:
    """The preflight of a study on the machines that there are; what can't work is refused.

    Raises:
        PlanError: storage, memory or disk do not do for it, or `check_grid` refuses it.
    """
    nodes = cluster.nodes()
    check_storage(storage.location, storage.is_local, nodes, mounts())
    check_grid(space, base, search, facts.num_classes)
    sampled, data = sampled_points(space, base), data_size(facts)
    costs = training_costs([point.config for point in sampled], data, plan.num_workers)
    room = worker_room(plan, nodes)
    ends = [(sampled[i].config, costs[i]) for i in _fitting_ends(costs, room)]
    timed = steadily_measured(ends, plan, cluster) if ends else None
    expected = forecast(sampled, costs, data, search, plan, fit(timed) if timed else None)
    return Preflight(
        plan=plan,
        forecast=expected,
        room=room,
        misfits=check_memory(expected, room),
        free_disk_bytes=_checked_disk(expected, storage),
        sampled=sampled,
        typical=ends[-1] if ends else None,
        gpu_memory_bytes=_least_gpu_memory(nodes),
        advice=_advice(expected, sampled, search, facts),
        facts=facts,
        constraints=checked_constraints(sampled, search, facts.num_classes),
        memory_factor=_times_the_estimate(ends, timed) if timed else 1.0,
    )


def _advice(
    expected: Forecast, sampled: list[Point], search: SearchConfig, facts: DataFacts
) -> list[str]:
    return [
        *filter(None, [driver_advice(expected, search, _mean_epochs(sampled))]),
        *pruning_advice(sampled, search, facts.num_train, facts.num_classes),
        *effect_advice(sampled),
    ]


def data_size(facts: DataFacts) -> DataSize:
    """The sizes of a study's data that its cost depends on."""
    return DataSize(facts.num_classes, facts.num_train, facts.num_val)


def repeatedly_measured(
    configs: Sequence[ResolvedConfig],
    plan: Plan,
    facts: DataFacts,
    cluster: Cluster,
    budget_s: float = BUDGET_S,
) -> list[float] | None:
    """Seconds per image of each config, the least of some rounds that alternate between them.

    For ratios: what disturbs the machine for a moment disturbs one of a config's rounds alone.

    Args:
        budget_s: of a round of one config.

    Returns:
        None when no machine was free within a minute.
    """
    costs = training_costs(configs, data_size(facts), plan.num_workers)
    timed = measured([*zip(configs, costs, strict=True)] * ROUNDS, plan, cluster, budget_s)
    if timed is None:
        return None
    count = len(configs)
    return [min(one.seconds_per_image for one in timed[i::count]) for i in range(count)]


def _fitting_ends(costs: Sequence[TrainingCost], room: Room) -> list[int]:
    """Positions of the cheapest and the dearest training among those that fit the memory."""
    fitting = [i for i, c in enumerate(costs) if room.bytes is None or c.memory_bytes <= room.bytes]
    return [fitting[i] for i in spread([costs[i] for i in fitting])] if fitting else []


def _times_the_estimate(
    measured: Sequence[tuple[ResolvedConfig, TrainingCost]], timed: Sequence[Timed]
) -> float:
    """How many times the estimated memory the measured trainings held, at least 1.

    On a GPU libraries work in some, and a recorded step keeps its own beside that of others.
    """
    held = ((one.memory_bytes or 0, cost) for (_, cost), one in zip(measured, timed, strict=True))
    return max(1.0, *(count / cost.memory_bytes for count, cost in held))


def measured(
    trainings: Sequence[tuple[ResolvedConfig, TrainingCost]],
    plan: Plan,
    cluster: Cluster,
    budget_s: float = BUDGET_S,
) -> list[Timed] | None:
    """Trainings timed where a worker of a plan will be; None when no machine was free."""
    timed: list[Timed] | None = cluster.call(
        _measure,
        [flatten(config) for config, _ in trainings],
        [cost for _, cost in trainings],
        plan.cpus_per_worker,
        "cuda" if plan.gpus_per_worker else "cpu",
        budget_s,
        cpus=plan.cpus_per_worker,
        gpus=plan.gpus_per_worker,
    )
    return timed


def steadily_measured(
    trainings: Sequence[tuple[ResolvedConfig, TrainingCost]], plan: Plan, cluster: Cluster
) -> list[Timed] | None:
    """Trainings timed until they get no faster; None when no machine was free.

    Beside the first seconds run the processes that Ray starts, which on few cores take half of
    them: the trials will not meet these, and whoever uses the machine all the time is met in every
    round. A GPU's kernels are not held up by them, and recording steps anew takes long.
    """
    timed = measured(trainings, plan, cluster)
    for _ in range(MOST_ROUNDS - 1):
        if timed is None or plan.gpus_per_worker:
            break
        again = measured(trainings, plan, cluster)
        if again is None:
            break
        is_faster = _seconds(again) < (1 - GAIN) * _seconds(timed)
        timed = [min(both, key=_seconds_of) for both in zip(timed, again, strict=True)]
        if not is_faster:
            break
    return timed


def _seconds(timed: Sequence[Timed]) -> float:
    return sum(map(_seconds_of, timed))


def _seconds_of(timed: Timed) -> float:
    return timed.seconds_per_image


def _measure(
    settings: list[Mapping[str, Any]],
    costs: list[TrainingCost],
    num_threads: int,
    device: str,
    budget_s: float,
) -> list[Timed]:
    configs = [resolved_from(flat) for flat in settings]
    return measure(configs, costs, num_threads, device, budget_s)


def _checked_disk(expected: Forecast, storage: Storage) -> int | None:
    """Bytes free for the study's folder, if they are enough."""
    free = free_disk(storage.location, storage.is_local)
    check_disk(expected, free, storage.location)
    return free


def _least_gpu_memory(nodes: Sequence[Node]) -> int | None:
    free = (node.gpu_memory_bytes for node in nodes)
    return min((count for count in free if count is not None), default=None)


def _mean_epochs(sampled: Sequence[Point]) -> float:
    return sum(point.config.optim.epochs for point in sampled) / len(sampled)
