"""Steps that some parameters do not take: as if they had no gradient, whoever decides it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.helpers import MemorySession, small_config
from torch import Tensor, nn

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.dml import dml_terms
from ffl_ray.distill.recipe import Mean, Phase, Recipe
from ffl_ray.distill.registry import RECIPES
from ffl_ray.distill.terms import Term
from ffl_ray.models.helpers import Helper, HelperRule
from ffl_ray.models.network import NetworkOutput
from ffl_ray.training.engine import train_epoch
from ffl_ray.training.optimizer import PlainAdamW, PlainSGD
from ffl_ray.training.parted_step import branch_parameters, step_where
from ffl_ray.training.setup import Training, prepare
from ffl_ray.training.steps import epoch_batches, step_of

TAKEN = ((True, False), (False, False), (True, True), (False, True), (True, True))
KINDS: dict[str, Any] = {
    "sgd": lambda groups: PlainSGD(
        groups, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True
    ),
    "adamw": lambda groups: PlainAdamW(groups, lr=0.1, weight_decay=0.01, fused=True),
}


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(3, 2, generator=generator)) for _ in range(3)]


def gradients(step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step + 1)
    return [torch.randn(3, 2, generator=generator) for _ in range(3)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_not_taken_leaves_weights_and_momentum_as_without_a_gradient(kind: str) -> None:
    found, expected = parameters(), parameters()
    # Fused SGD takes no group of which some parameters have a momentum already.
    masked, left_out = KINDS[kind](found), KINDS[kind]([{"params": [p]} for p in expected])

    for step, taken in enumerate(TAKEN):
        for parameter, gradient in zip(found, gradients(step), strict=True):
            parameter.grad = gradient
        step_where(masked, [found[:1], found[1:2]], torch.tensor(taken))
        for parameter, gradient, takes in zip(
            expected, gradients(step), (*taken, True), strict=True
        ):
            parameter.grad = gradient if takes else None
        left_out.step()

        for one, other in zip(found, expected, strict=True):
            assert torch.equal(one, other)


def trained(**settings: object) -> Training:
    """An epoch of dml with a momentum and a weight decay, on a few digits."""
    config = small_config(
        distill__method="dml", data__fraction=0.2, objective="deployed.accuracy", **settings
    )
    training = prepare(config, MemorySession())
    train_epoch(step_of(training, 1.0), epoch_batches(training, 0))
    return training


@pytest.mark.parametrize("stages", [0, 2])
def test_a_branch_that_takes_no_step_stays_as_it_was_and_its_teacher_learns(
    stages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def takes(output: NetworkOutput, labels: Labels, settings: object, mean: Mean) -> Tensor:
        # Between the classes' numbers, so that it holds in every batch.
        return torch.stack([mean(labels.float()) < 20, mean(labels.float()) > 20])

    initial = prepare(trained(model__trunk_stages=stages).config, MemorySession())
    before = [[p.clone() for p in group] for group in branch_parameters(initial.network)]
    monkeypatch.setitem(RECIPES, "dml", Recipe(dml_terms, takes_step=takes))

    training = trained(model__trunk_stages=stages)

    first, second = branch_parameters(training.network)
    assert any(not torch.equal(a, b) for a, b in zip(first, before[0], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(second, before[1], strict=True))
    states = [training.optimizer.state[p]["momentum_buffer"] for p in second]
    assert not any(state.any() for state in states)
    moved = [p for trunk in training.network.trunks.values() for p in trunk.parameters()]
    assert all(training.optimizer.state[p]["momentum_buffer"].any() for p in moved[:1])


def judged(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """What a judge of logits gets wrong; its gradient reaches the branches too."""
    assert output.helpers is not None
    found = F.cross_entropy(output.helpers["judge"](output.branches[0]), labels)
    return {"own.0": Term(found)}


def judge(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    classes = example.branches.shape[2]
    return {"judge": Helper(nn.Linear(classes, classes), HelperRule(optimizer="adamw"))}


@pytest.mark.parametrize("first", [("members",), None])
def test_a_phase_trains_its_own_part_alone_and_follows_the_first(
    first: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = trained()
    recipe = Recipe(dml_terms, judge, trains=first, then=(Phase(judged, ("judge",)),))
    monkeypatch.setitem(RECIPES, "dml", recipe)

    training = trained()

    for found, expected in zip(
        training.network.branches.parameters(), plain.network.branches.parameters(), strict=True
    ):
        assert torch.equal(found, expected)
    weight = training.network.helpers["judge"].weight
    fresh = prepare(training.config, MemorySession()).network.helpers["judge"].weight
    assert isinstance(weight, Tensor)
    assert isinstance(fresh, Tensor)
    assert not torch.equal(weight, fresh)
    steps = {
        float(training.optimizer.state[p]["step"]) for p in training.network.helpers.parameters()
    }
    assert steps == {4.0}
