"""Averaged weights: over the time of a training, or over several modules of one structure."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ffl_ray.models.pooling import full_precision, pooled

Call = Callable[[Tensor], Tensor]


class AveragedWeights(nn.Module):
    """Copies of modules, whose weights are averages that no optimiser trains.

    Over time (`follow`): after step t each average moves by 1 - min(1 - 1/(t + 1), decay) towards
    the weights; its batch norm follows its own inputs (Tarvainen and Valpola 2017,
    arXiv:1703.01780, section 2 and their program). The decay follows the length of the training,
    once `plan` says it.

    Over students (`become`, `calls`): sum_k r_k theta_k of the whole state, batch norm's running
    statistics too (OKDPH, Zhang et al. 2023, arXiv:2303.14666, section 3).

    Args:
        modules: whose weights are averaged, or those of one student; a checkpoint knows the
            averages as `parts`.
        span: share of the training that averages over time reach back over, 1 / (1 - decay) steps.
        num_students: how many students are averaged; 0: the averages are over time.

    Attributes:
        shares: r_k of each student, equal until somebody writes others.
    """

    steps: Tensor
    shares: Tensor

    def __init__(
        self, modules: Iterable[nn.Module], *, span: float = 1.0, num_students: int = 0
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(copy.deepcopy(module) for module in modules)
        self.parts.requires_grad_(False)
        self.span = span
        self.decay = 1.0
        if num_students:
            self.register_buffer("shares", torch.full((num_students,), 1 / num_students))
        else:
            self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def plan(self, steps: int) -> None:
        """Have averages over time reach back over their share of so many steps, one at least."""
        self.decay = 1 - 1 / max(1.0, self.span * steps)

    @torch.no_grad()
    def follow(self, modules: Iterable[nn.Module]) -> None:
        """Follow the modules' weights after a step of the optimiser."""
        self.steps += 1
        keep = (1 - 1 / (self.steps + 1)).clamp(max=self.decay)
        for average, module in zip(self.parts, modules, strict=True):
            for mean, weight in zip(average.parameters(), module.parameters(), strict=True):
                mean.lerp_(weight, (1 - keep).to(mean.dtype))

    @torch.no_grad()
    def become(self, students: Sequence[Sequence[nn.Module]]) -> None:
        """Be the students' mean now."""
        for part, alike in zip(self.parts, zip(*students, strict=True), strict=True):
            mean = mean_state(alike, self.shares)
            for name, tensor in _state(part).items():
                tensor.copy_(mean[name])

    def calls(self, students: Sequence[Sequence[nn.Module]], *, constant: bool) -> list[Call]:
        """The modules with the students' mean weights of now, each as a function of its input.

        The gradient that reaches a weight theta of the mean reaches each student's as r_k of it.

        Args:
            constant: no gradient reaches the students.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not constant):
            means = [mean_state(alike, self.shares) for alike in zip(*students, strict=True)]
        return [
            partial(functional_call, part, mean)
            for part, mean in zip(self.parts, means, strict=True)
        ]

    def logits(
        self,
        images: Float[Tensor, "batch channels height width"],
        students: Sequence[Sequence[nn.Module]],
        *,
        constant: bool,
    ) -> Float[Tensor, "batch classes"]:
        """Logits of trunk, branch and classifier: in training with the students' mean of now."""
        calls: Sequence[Call] = list(self.parts)
        if self.training:
            calls = self.calls(students, constant=constant)
        trunk, branch, classifier = calls
        with torch.set_grad_enabled(torch.is_grad_enabled() and not constant):
            features = pooled(branch(trunk(images)))
            with full_precision(features):
                return classifier(features)

    @torch.no_grad()
    def write_back(self, students: Sequence[Sequence[nn.Module]], share: float) -> None:
        """Move each student's state towards the averages by a share; 1: it becomes them."""
        for student in students:
            for part, module in zip(self.parts, student, strict=True):
                averages = _state(part)
                for name, tensor in _state(module).items():
                    if tensor.is_floating_point():
                        tensor.lerp_(averages[name], share)


def mean_state(modules: Sequence[nn.Module], shares: Tensor) -> dict[str, Tensor]:
    """The modules' parameters and buffers, averaged by shares; what is no real number: the first's.

    Args:
        modules: of one structure.
        shares: of each, adding up to 1.
    """
    states = [_state(module) for module in modules]
    weights = shares.unbind()
    return {
        name: _mean([state[name] for state in states], weights)
        if first.is_floating_point()
        else first.clone()
        for name, first in states[0].items()
    }


def _mean(tensors: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    parts = [tensor * weight for tensor, weight in zip(tensors, weights, strict=True)]
    return sum(parts[1:], parts[0])


def _state(module: nn.Module) -> dict[str, Tensor]:
    return dict(itertools.chain(module.named_parameters(), module.named_buffers()))
