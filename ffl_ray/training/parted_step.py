"""Steps of the optimiser that some of the network's parameters do not take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from ffl_ray.config.settings import DistillConfig
from ffl_ray.data.dataset import Labels
from ffl_ray.distill import recipe as distill
from ffl_ray.distill.recipe import MEMBERS, Mean
from ffl_ray.distill.registry import LossTerms, recipe_of
from ffl_ray.models.network import FusionNetwork, NetworkOutput


class Phase(NamedTuple):
    """A further step on the same batch.

    Attributes:
        loss_terms: its loss.
        trained: the only parameters that it trains.
        twins: of these, where the phase has an optimiser of its own, which steps them: they share
            the parameters' memory, and take their gradients over.
        skips: helpers that are not called with its images.
    """

    loss_terms: LossTerms
    trained: Collection[nn.Parameter] | None
    twins: Sequence[nn.Parameter] = ()
    skips: Collection[str] = ()

    def hand_over(self) -> None:
        """Have the phase's own optimiser take the next step, if it has one."""
        for parameter, twin in zip(self.trained or (), self.twins, strict=False):
            twin.grad, parameter.grad = parameter.grad, None


class Parts(NamedTuple):
    """Which parameters take a step, and which further steps follow it on the same batch.

    Attributes:
        trained: the only ones that take it; none: all do.
        takes: says whether each branch takes it, given what averages values per image over the
            global batch; none: all do.
        branches: parameters of each, where they are asked.
        then: the further steps.
    """

    trained: Collection[nn.Parameter] | None = None
    takes: Callable[[NetworkOutput, Labels, Mean], Bool[Tensor, "branches"]] | None = None
    branches: Sequence[Sequence[nn.Parameter]] = ()
    then: Sequence[Phase] = ()


def in_parts(settings: DistillConfig) -> bool:
    """Whether a step of the settings' method trains a part of the network, or has phases."""
    recipe = recipe_of(settings)
    return recipe.trains is not None or bool(recipe.then)


def trained_by(network: FusionNetwork, names: Iterable[str]) -> list[nn.Parameter]:
    """The parameters that names mean: `members`, which is all but the helpers, or a helper's.

    Raises:
        KeyError: there is no such helper.
    """
    found: list[nn.Parameter] = []
    for name in names:
        if name != MEMBERS:
            found += network.helpers[name].parameters()
            continue
        helped = {id(parameter) for parameter in network.helpers.parameters()}
        found += (p for p in network.parameters() if id(p) not in helped)
    return [parameter for parameter in found if parameter.requires_grad]


def phase_groups(
    network: FusionNetwork, phases: Sequence[distill.Phase], weight_decay: float
) -> list[dict[str, object]]:
    """A group of twins for the optimiser of each phase that has its own, by `phase`.

    Args:
        weight_decay: of those that have none of their own.
    """
    groups: list[dict[str, object]] = []
    for place, phase in enumerate(phases):
        if phase.rule is not None:
            twins = [nn.Parameter(p.detach()) for p in trained_by(network, phase.trains)]
            own = {"params": twins, "weight_decay": weight_decay, "phase": place}
            groups.append(own | phase.rule.options)
    return groups


def twins_in(optimizer: torch.optim.Optimizer, place: int) -> list[nn.Parameter]:
    """The parameters of a phase's own optimiser; none where it has none."""
    found = (group["params"] for group in optimizer.param_groups if group.get("phase") == place)
    return next(found, [])


def branch_parameters(network: FusionNetwork) -> list[list[nn.Parameter]]:
    """Each branch's parameters, without those of a trunk that it shares."""
    owners = Counter(network.trunk_of)
    found = []
    for key, modules in zip(network.trunk_of, network.students, strict=True):
        own = modules if owners[key] == 1 else modules[1:]
        found.append([p for module in own for p in module.parameters()])
    return found


@torch.no_grad()
def step_where(
    optimizer: torch.optim.Optimizer,
    groups: Sequence[Sequence[nn.Parameter]],
    taken: Bool[Tensor, "groups"],
) -> None:
    """A step of the optimiser that some groups of parameters do not take.

    Their weights, momentum and count of steps stay what they were, as if they had no gradient.
    The step is taken by all and taken back on the device, which alone knows who takes it: the
    host need not wait, and a CUDA graph may hold it.

    Args:
        groups: that take the step or do not; all other parameters take it.
        taken: whether each of them does.
    """
    before = [[(p, p.detach().clone(), _state(optimizer, p)) for p in group] for group in groups]
    optimizer.step()
    for group, takes in zip(before, taken.unbind(), strict=True):
        for parameter, weight, state in group:
            parameter.copy_(torch.where(takes, parameter, weight))
            for name, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    # A momentum that begins at zero is none yet.
                    was = state.get(name, torch.zeros_like(value))
                    value.copy_(torch.where(takes, value, was))


def _state(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> dict[str, Tensor]:
    state = optimizer.state.get(parameter, {})
    return {name: value.clone() for name, value in state.items() if isinstance(value, Tensor)}
