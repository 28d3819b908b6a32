"""Functions called on the machines that Ray has, before any trial starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

from ffl_ray.errors import FFLRayError, PlanError
from ffl_ray.orchestration.failures import first_cause, is_out_of_memory
from ffl_ray.orchestration.gate import Gate, call_at_gate
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.limits import Node
from ffl_ray.planning.nodes import Cluster, ThisMachine, memory_facts

FREE_S = 60.0
TOGETHER_S = 120.0
Memory = tuple[int | None, int | None, int | None]
LOG = logging.getLogger(__name__)


def trial_cluster(plan: Plan, *, joined: bool) -> Cluster:
    """The machines of a study's trials: Ray's, or this process's alone where that is the same.

    Args:
        joined: Ray was joined at an address, so this process need not be where trials run.
    """
    if joined or plan.gpus_per_worker:
        return RayCluster()
    return ThisMachine(plan.max_concurrent_trials * plan.num_workers * plan.cpus_per_worker)


def call(
    function: Callable[..., Any],
    *args: Any,
    cpus: float = 1,
    gpus: float = 0,
    timeout_s: float | None = None,
) -> Any:
    """What a function gives in a Ray task with these resources.

    None when it took too long, or memory did not do for it.

    Raises:
        FFLRayError: as the function raises it there.
    """
    task = ray.remote(num_cpus=cpus, num_gpus=gpus)(function).remote(*args)
    try:
        return ray.get(task, timeout=timeout_s)
    except GetTimeoutError:
        ray.cancel(task, force=True)
        return None
    except RayError as error:
        cause = first_cause(error)
        if isinstance(cause, FFLRayError):
            raise cause from None
        if not is_out_of_memory(cause):
            raise
        LOG.warning("not measured, it does not fit: %s", cause)
        return None


def with_data(function: Callable[..., Any], *args: Any) -> Any:
    """What a function that opens the data gives on a node of the cluster.

    Raises:
        PlanError: the node's memory does not do for them.
        FFLRayError: as the function raises it there.
    """
    found = call(function, *args)
    if found is None:
        raise PlanError(
            "memory ran out on the node that opened the data: use a smaller data.fraction or "
            "data.image_size, data.residency=stream for image files, or nodes with more memory"
        )
    return found


class RayCluster:
    """The nodes of the cluster that this process has started or joined."""

    def nodes(self) -> list[Node]:
        """A node that does not answer within a minute, or is lost meanwhile, has unknown memory."""
        here = ray.get_runtime_context().get_node_id()
        alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        asked = [_ask_memory(node) for node in alive]
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=FREE_S)
        return [
            Node(
                node["NodeID"] == here,
                int(node["Resources"].get("CPU", 0)),
                node["Resources"].get("GPU", 0.0),
                *(_memory(answer) if answer in ready else (None, None, None)),
            )
            for node, answer in zip(alive, asked, strict=True)
        ]

    def call(self, function: Callable[..., Any], *args: Any, cpus: float, gpus: float) -> Any:
        """As `call`, None when no machine was free within a minute."""
        return call(function, *args, cpus=cpus, gpus=gpus, timeout_s=FREE_S)


def _ask_memory(node: dict[str, Any]) -> Any:
    place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    # Its process ends with it, and the CUDA context that it made to ask.
    ask = ray.remote(num_cpus=0, max_calls=1)(memory_facts).options(scheduling_strategy=place)
    return ask.remote(bool(node["Resources"].get("GPU", 0)))


def _memory(answer: Any) -> Memory:
    try:
        found: Memory = ray.get(answer)
    except RayError:
        return None, None, None
    return found


def call_together(
    function: Callable[..., float], *args: Any, count: int, gpus: float
) -> list[float] | None:
    """What a function gives in several Ray tasks at the same time, each with one CPU.

    All of them run on one machine, and with fractions of a GPU on one GPU.

    Args:
        function: is given, before `args`, a function that waits for all others to call it.
        gpus: share of one for each task.

    Returns:
        None when no machine was free within two minutes, or one of them failed: side by side
        there is less memory for each than alone.
    """
    with _bundle({"CPU": count, "GPU": round(count * gpus)}) as bundle:
        place = PlacementGroupSchedulingStrategy(bundle)
        gate: Any = ray.remote(num_cpus=0)(Gate).remote(count)
        task = ray.remote(num_cpus=1, num_gpus=gpus)(call_at_gate)
        asked = [
            task.options(scheduling_strategy=place).remote(gate, function, args)
            for _ in range(count)
        ]
        try:
            found: list[float] = ray.get(asked, timeout=TOGETHER_S)
        except GetTimeoutError:
            return None
        except RayError as error:
            LOG.warning("not measured, %d processes at once: %s", count, first_cause(error))
            return None
        finally:
            ray.kill(gate)
        return found


@contextmanager
def _bundle(resources: dict[str, float]) -> Iterator[PlacementGroup]:
    """Resources of one machine, and the end of what still runs with them."""
    bundle = placement_group(
        [{name: count for name, count in resources.items() if count}], strategy="STRICT_PACK"
    )
    try:
        yield bundle
    finally:
        remove_placement_group(bundle)
