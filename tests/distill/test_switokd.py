"""SwitOKD: a teacher far ahead of the student waits for it, by the batch of all workers."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from support.helpers import MemorySession, small_config
from torch import Tensor

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.switokd import takes_step
from ffl_ray.models.network import NetworkOutput
from ffl_ray.training.engine import train_epoch
from ffl_ray.training.parted_step import branch_parameters
from ffl_ray.training.setup import prepare
from ffl_ray.training.steps import epoch_batches, step_of


def taken(branches: Tensor, labels: Tensor, leader: int, weight: float | None = None) -> list[bool]:
    settings = resolved_distill(DistillConfig(method="switokd", weight=weight))
    output = NetworkOutput(branches, leader=leader)
    found: list[bool] = takes_step(output, labels, settings, lambda x: x.mean(dim=-1)).tolist()
    return found


def two_classes(right: float) -> list[list[float]]:
    """The logits of one image of class 0 whose probability is this."""
    return [[math.log(right), math.log(1 - right)]]


def test_the_switch_by_hand() -> None:
    # e = 2 (1 - p) and G = 2 |p_t - p_s|. The student's .5 gives e_s = 1.
    # t = .9: e_t = .2, G = .8 > 1 - e^(-1/6) .2 = .831? No: it learns. t = .95: G = .9 > .909? No.
    # t = .6: e_t = .8, G = .2 > 1 - e^(-4/9) .8 = .487? No. With three classes G may exceed e_s:
    # p_s = (.5, .5, 0), p_t = (.6, 0, .4): e_t = .8, G = .1 + .5 + .4 = 1 > .487: it waits.
    near = torch.tensor([two_classes(0.5), two_classes(0.9)], dtype=torch.float64)
    far = torch.tensor([[[0.5, 0.5, 1e-9]], [[0.6, 1e-9, 0.4]]], dtype=torch.float64).log()
    label = torch.tensor([0])

    assert taken(near, label, leader=0) == [True, True]
    assert taken(far, label, leader=0) == [True, False]
    assert taken(far, label, leader=1) == [True, True]  # the other one is behind
    assert taken(far, label, leader=0, weight=0.0) == [True, True]
    assert taken(far, torch.tensor([[1.0, 0.0, 0.0]]), leader=0) == [True, False]


def looped(branches: Tensor, labels: Tensor, leader: int) -> list[bool]:
    """The same, teacher by teacher, image by image, class by class."""
    p = branches.softmax(dim=2).tolist()
    count, classes = len(labels), branches.shape[2]

    def distance(one: list[list[float]], other: list[list[float]]) -> float:
        places = itertools.product(range(count), range(classes))
        return sum(abs(one[i][c] - other[i][c]) for i, c in places) / count

    truth = [[float(c == label) for c in range(classes)] for label in labels.tolist()]
    found = []
    for k, teacher in enumerate(p):
        e_t, e_s = distance(teacher, truth), distance(p[leader], truth)
        delta = e_s - math.exp(-e_t / (e_t + e_s)) * e_t
        expert = distance(teacher, p[leader]) > delta and e_t < e_s
        found.append(k == leader or not expert)
    return found


def test_the_switch_equals_a_loop() -> None:
    seen = set()
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        branches = 2 * torch.randn(3, 6, 4, dtype=torch.float64, generator=generator)
        labels = torch.randint(4, (6,), generator=generator)
        leader = seed % 3

        found = taken(branches, labels, leader)

        assert found == looped(branches, labels, leader)
        seen.add(tuple(found[:leader] + found[leader + 1 :]))
    assert len(seen) == 4  # both wait, one, the other, neither


@pytest.mark.parametrize("waits", [True, False])
def test_a_teacher_that_waits_keeps_its_weights_while_the_student_learns(waits: bool) -> None:
    config = small_config(
        distill__method="switokd",
        model__leader="0",
        data__fraction=0.2,
        objective="deployed.accuracy",
    )
    training = prepare(config, MemorySession())
    with torch.no_grad():
        # A student that is sure of a wrong class is far from a teacher that guesses.
        training.network.classifiers[0].bias[3] += 20.0 if waits else 0.0  # type: ignore[index, operator]
    before = [[p.clone() for p in group] for group in branch_parameters(training.network)]

    batch = next(epoch_batches(training, 0))
    batch = batch._replace(labels=torch.full_like(batch.labels, 5))
    train_epoch(step_of(training, 1.0), [batch])

    student, teacher = branch_parameters(training.network)
    assert not all(torch.equal(a, b) for a, b in zip(student, before[0], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(teacher, before[1], strict=True)) == waits
