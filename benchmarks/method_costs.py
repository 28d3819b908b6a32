"""What a training step of every method costs beside independent branches: for docs/methods.md.

    python -m benchmarks.method_costs

CPU seconds of forward pass, loss, backward pass and step, the least of several rounds over all
methods, with the branches as published (own sharing). Hooks, such as OKDPH's averaging, are not in
them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from benchmarks.common import ended
from ffl_ray.config.methods import METHODS, resolved_from, with_reachable_objective
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.distill.networks import build_trained
from ffl_ray.distill.registry import recipe_of
from ffl_ray.distill.terms import total_loss
from ffl_ray.models.network import FusionNetwork
from ffl_ray.training.optimizer import new_optimizer

IMAGE, CLASSES = (3, 32, 32), 100
BASELINE = "independent"


def config_of(method: str, mix: str) -> ResolvedConfig:
    """A method as published on these branches."""
    named: dict[str, object] = {"data.name": "cifar100", "model.mix": mix}
    return with_reachable_objective(resolved_from(named | {"distill.method": method}))


def step_of(config: ResolvedConfig, batch: int) -> tuple[Callable[[], None], FusionNetwork]:
    """What takes one training step, further phases too, on random images; and what it trains."""
    network = build_trained(config, image_shape=IMAGE, num_classes=CLASSES)
    optimizer = new_optimizer(config, network)
    recipe = recipe_of(config.distill)
    losses = [recipe.terms, *(phase.terms for phase in recipe.then)]
    views = config.num_views
    images = torch.randn(*[views] * (views > 1), batch, *IMAGE)
    labels = torch.arange(batch) // 2
    if config.distill.own_batches:
        labels = labels.expand(views, -1)
    share = torch.tensor(0.5, dtype=torch.float64)

    def step() -> None:
        for terms in losses:
            output = network(images)._replace(share=share, image_indices=torch.arange(batch))
            optimizer.zero_grad()
            loss = total_loss(terms(output, labels, config.distill), 1.0)
            torch.autograd.backward(loss)
            optimizer.step()
        network.after_step()

    return step, network


def least_seconds(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """The least CPU seconds of each step, after one that is not counted."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            start = time.process_time()
            step()
            found[name].append(time.process_time() - start)
    return {name: min(seconds[1:]) for name, seconds in found.items()}


def main() -> None:
    """Measure them all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mix", default="3*resnet20", help="branches of every method")
    parser.add_argument("--batch-size", type=int, default=32, help="images a step")
    parser.add_argument(
        "--rounds", type=int, default=5, help="steps of each method, of which the fastest counts"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    configs = {method: config_of(method, options.mix) for method in METHODS}
    steps = {name: step_of(config, options.batch_size)[0] for name, config in configs.items()}
    seconds = least_seconds(steps, options.rounds)
    print("| method | seconds of a step |\n|---|---|")  # noqa: T201
    for name in METHODS:
        print(f"| `{name}` | {seconds[name] / seconds[BASELINE]:.2f} |")  # noqa: T201


if __name__ == "__main__":
    ended(main)
