"""What one training will take, measured and computed before it begins."""

from __future__ import annotations

import torch

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.console.terminal import hours
from ffl_ray.data.facts import DataFacts
from ffl_ray.planning.cost import TrainingCost, training_cost
from ffl_ray.planning.forecast import trial_seconds
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.limits import gigabytes
from ffl_ray.planning.preflight import data_size, repeatedly_measured
from ffl_ray.planning.throughput import Throughput, measure

# Multiply-accumulates from which a training is long enough to be measured first: minutes on a core,
# or on a GPU.
LONG_MACS = {"cpu": 1e13, "cuda": 1e15}


def is_long(config: ResolvedConfig, plan: Plan, facts: DataFacts) -> bool:
    """Whether a training may take long enough that its plan is worth the seconds it costs."""
    cost = training_cost(config, data_size(facts), plan.num_workers)
    macs = cost.training_macs * facts.num_train * config.optim.epochs / plan.num_workers
    return macs > LONG_MACS["cuda" if plan.gpus_per_worker else "cpu"]


def plan_words(
    config: ResolvedConfig, plan: Plan, facts: DataFacts, *, on_ray: bool, joined: bool
) -> str:
    """A training's time, memory and size, in a line.

    Args:
        on_ray: it trains there and not in this process.
        joined: Ray was joined at an address.
    """
    data = data_size(facts)
    cost = training_cost(config, data, plan.num_workers)
    seconds: list[float] | None
    if not on_ray:
        seconds = [_here(config, cost, plan)]
    else:
        from ffl_ray.orchestration.remote import trial_cluster

        seconds = repeatedly_measured([config], plan, facts, trial_cluster(plan, joined=joined))
    time = "no machine was free to measure the time on"
    if seconds is not None:
        speed = Throughput(seconds[0], 0.0)
        time = f"about {hours(trial_seconds(config.optim.epochs, cost, data, plan, speed))}"
    return (
        f"{time}; memory {gigabytes(cost.memory_bytes)} for each worker, a checkpoint "
        f"{gigabytes(cost.checkpoint_bytes)}; {cost.parameters:,} parameters, {cost.macs:,} MACs "
        f"an image"
    )


def _here(config: ResolvedConfig, cost: TrainingCost, plan: Plan) -> float:
    on_gpu = config.compute.device != "cpu" and torch.cuda.is_available()
    (timed,) = measure([config], [cost], plan.cpus_per_worker, "cuda" if on_gpu else "cpu")
    return timed.seconds_per_image
