"""The cost of a reproduction: hours from steps measured here, and the plan in words."""

from __future__ import annotations

from collections.abc import Sequence

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.console.terminal import hours
from ffl_ray.data.facts import DataFacts
from ffl_ray.orchestration.final_runs import epoch_seconds
from ffl_ray.planning.cost import DataSize, training_costs
from ffl_ray.planning.forecast import START_S, spread
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.throughput import Timed, fit


def expected_seconds(
    configs: Sequence[ResolvedConfig], plan: Plan, facts: DataFacts, *, cluster: bool
) -> float | None:
    """Seconds of all these trainings, from a line through the cheapest and the dearest, measured.

    Args:
        configs: one for each training, those that differ by their seed alone among them.
        cluster: Ray was joined at an address.

    Returns:
        None when no machine was free to measure on.
    """
    data = DataSize(facts.num_classes, facts.num_train, facts.num_val)
    costs = training_costs(configs, data, plan.num_workers)
    ends = spread(costs)
    seconds = epoch_seconds([configs[i] for i in ends], plan, facts, cluster=cluster)
    if seconds is None:
        return None
    speed = fit(
        [
            Timed(costs[i].macs, epoch_s / facts.num_train)
            for i, epoch_s in zip(ends, seconds, strict=True)
        ]
    )
    start_s = START_S["one" if plan.num_workers == 1 else "several"]
    total_s = sum(
        start_s + config.optim.epochs * facts.num_train * speed.seconds_per_image(cost.macs)
        for config, cost in zip(configs, costs, strict=True)
    )
    return total_s / plan.max_concurrent_trials


def plan_words(
    name: str,
    configs: Sequence[ResolvedConfig],
    plan: Plan,
    facts: DataFacts,
    seconds: float | None,
) -> str:
    """The number of trainings, their length and the hours, in a line."""
    epochs = " or ".join(str(e) for e in sorted({config.optim.epochs for config in configs}))
    time = "no machine was free to measure the time on"
    if seconds is not None:
        time = f"about {hours(seconds)}"
    return (
        f"{name}: {len(configs)} trainings of {epochs} epochs on {facts.num_train:,} images, "
        f"{plan.max_concurrent_trials} at once: {time}"
    )
