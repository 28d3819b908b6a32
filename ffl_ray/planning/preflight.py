"""A study before it starts: its cost measured and computed, and held against the machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.planning.cost import DataSize, TrainingCost, training_costs
from ffl_ray.planning.data_check import DataFacts
from ffl_ray.planning.driver_load import advice
from ffl_ray.planning.forecast import Forecast, forecast, sampled_points, spread
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.limits import Room, check_disk, check_memory, check_storage, room
from ffl_ray.planning.nodes import alive_nodes, call_on_node, free_disk, mounts, this_machine
from ffl_ray.planning.throughput import fit, measure
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.space import Point, SearchSpace

Settings = Mapping[str, Any]
ROUNDS = 3


class Preflight(NamedTuple):
    """Everything that is known of a study before it starts.

    Attributes:
        plan: how it is laid out.
        forecast: what it will take.
        has: memory for each worker.
        misfits: how many of the sampled configs do not fit that memory.
        free_disk_bytes: where its folder is; none in an object store.
        sampled: the points that the forecast is made from.
        typical: the dearest config that was timed, with its cost; none when none was.
        gpu_memory_bytes: free on the fullest GPU; none without one.
        advice: what to change when the driver would hold the trials up; none when it would not.
    """

    plan: Plan
    forecast: Forecast
    has: Room
    misfits: int
    free_disk_bytes: int | None
    sampled: list[Point]
    typical: tuple[Config, TrainingCost] | None = None
    gpu_memory_bytes: int | None = None
    advice: str | None = None


def run_preflight(
    space: SearchSpace,
    base: Config,
    search: SearchConfig,
    plan: Plan,
    facts: DataFacts,
    storage: Storage,
    *,
    cluster: bool,
) -> Preflight:
    """Forecast a study on the machines that Ray has, and refuse what can't work.

    Args:
        cluster: Ray was joined at an address, so this process need not be where trials run.

    Raises:
        PlanError: storage, memory or disk do not do for it.
    """
    on_gpu = plan.gpus_per_worker > 0
    nodes = alive_nodes() if cluster or on_gpu else this_machine(_cpus(plan), 0)
    check_storage(storage.location, storage.is_local, nodes, mounts())
    sampled = sampled_points(space, base)
    data = DataSize(facts.num_classes, facts.num_train, facts.num_val)
    costs = training_costs([point.config for point in sampled], data, plan.num_workers)
    has = room(plan, nodes)
    fitting = [i for i, cost in enumerate(costs) if _fits(cost, has)]
    timed = typical = None
    if fitting:
        chosen = [fitting[i] for i in spread([costs[i] for i in fitting])]
        typical = (sampled[chosen[-1]].config, costs[chosen[-1]])
        here = not cluster and not on_gpu
        timed = _measured(
            [sampled[i].config for i in chosen], [costs[i] for i in chosen], plan, here
        )
    speed = fit(timed) if timed else None
    expected = forecast(sampled, costs, data, search, plan, speed)
    misfits = check_memory(expected, has)
    free = free_disk(storage.location, storage.is_local)
    check_disk(expected, free, storage.location)
    gpu = min((n.gpu_memory_bytes for n in nodes if n.gpu_memory_bytes is not None), default=None)
    epochs = sum(point.config.optim.epochs for point in sampled) / len(sampled)
    advised = advice(expected, search, epochs)
    return Preflight(plan, expected, has, misfits, free, sampled, typical, gpu, advised)


def _cpus(plan: Plan) -> int:
    return plan.max_concurrent_trials * plan.num_workers * plan.cpus_per_worker


def _fits(cost: TrainingCost, has: Room) -> bool:
    return has.bytes is None or cost.memory_bytes <= has.bytes


def _measured(configs: list[Config], costs: list[TrainingCost], plan: Plan, here: bool) -> Any:
    """Timed trainings, in this process or where a worker will be."""
    device = "cuda" if plan.gpus_per_worker else "cpu"
    if here:
        return measure(configs, costs, plan.cpus_per_worker, device)
    settings = [flatten(config) for config in configs]
    return call_on_node(
        _measure_there,
        settings,
        costs,
        plan.cpus_per_worker,
        device,
        cpus=plan.cpus_per_worker,
        gpus=plan.gpus_per_worker,
    )


def repeatedly_measured(
    configs: Sequence[Config], plan: Plan, facts: DataFacts, *, cluster: bool
) -> list[float] | None:
    """Seconds per image of each config, the least of some rounds that alternate between them.

    For ratios: what disturbs the machine for a moment disturbs one of a config's rounds alone.

    Args:
        cluster: Ray was joined at an address, so this process need not be where trials run.

    Returns:
        None when no machine was free within a minute.
    """
    data = DataSize(facts.num_classes, facts.num_train, facts.num_val)
    costs = training_costs(configs, data, plan.num_workers)
    here = not cluster and not plan.gpus_per_worker
    timed = _measured([*configs] * ROUNDS, costs * ROUNDS, plan, here)
    if timed is None:
        return None
    count = len(configs)
    return [min(one.seconds_per_image for one in timed[i::count]) for i in range(count)]


def _measure_there(
    settings: list[Settings], costs: list[TrainingCost], num_threads: int, device: str
) -> Any:
    configs = [with_overrides(Config(), flat) for flat in settings]
    return measure(configs, costs, num_threads, device)
