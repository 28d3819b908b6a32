"""Averaged weights: the students' mean equals a loop; its gradient reaches each by its share."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from ffl_ray.models.averages import AveragedWeights

SHARES = (0.5, 0.2, 0.3)


def student(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    made = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    made.append(nn.Linear(12, 4)).double()
    made(torch.randn(8, 2, 4, 4, dtype=torch.float64) * seed)
    return made


@pytest.fixture
def students() -> list[list[nn.Module]]:
    return [[student(seed)] for seed in (1, 2, 3)]


def averages_of(students: list[list[nn.Module]]) -> AveragedWeights:
    averages = AveragedWeights(students[0], num_students=3).double()
    averages.shares.copy_(torch.tensor(SHARES))
    return averages


def looped(students: list[list[nn.Module]]) -> nn.Module:
    """A module of its own, whose state is the mean by a loop over single numbers."""
    mean = copy.deepcopy(students[0][0])
    for name, tensor in mean.state_dict().items():
        flat = tensor.view(-1)
        for index in range(len(flat) if tensor.is_floating_point() else 0):
            states = [modules[0].state_dict()[name].flatten() for modules in students]
            flat[index] = sum(r * float(x[index]) for r, x in zip(SHARES, states, strict=True))
    return mean


@pytest.mark.parametrize("training", [True, False])
def test_the_averaged_forward_equals_a_loop(
    students: list[list[nn.Module]], training: bool
) -> None:
    averages, images = averages_of(students), torch.randn(5, 2, 4, 4, dtype=torch.float64)
    averages.train(training)
    before = copy.deepcopy(students[0][0].state_dict())

    (call,) = averages.calls(students, constant=False)
    found = call(images)
    averages.become(students)

    expected = looped(students).train(training)(images)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(averages.parts[0](images), expected, rtol=1e-6, atol=1e-6)
    for name, tensor in students[0][0].state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_each_student_gets_its_share_of_the_gradient(students: list[list[nn.Module]]) -> None:
    images = torch.randn(5, 2, 4, 4, dtype=torch.float64)
    alone = looped(students)
    torch.autograd.backward(alone(images).square().sum())

    (call,) = averages_of(students).calls(students, constant=False)
    torch.autograd.backward(call(images).square().sum())
    (constant,) = averages_of(students).calls(students, constant=True)

    for share, (module,) in zip(SHARES, students, strict=True):
        for found, expected in zip(module.parameters(), alone.parameters(), strict=True):
            assert isinstance(found.grad, Tensor)
            assert isinstance(expected.grad, Tensor)
            torch.testing.assert_close(found.grad, share * expected.grad, rtol=1e-6, atol=1e-6)
    assert not constant(images).requires_grad


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_students_are_moved_towards_the_averages_with_their_statistics(
    students: list[list[nn.Module]], share: float
) -> None:
    averages = averages_of(students)
    averages.become(students)
    mean = averages.parts[0].state_dict()
    before = [copy.deepcopy(module.state_dict()) for (module,) in students]

    averages.write_back(students, share)

    for (module,), was in zip(students, before, strict=True):
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                moved = share * mean[name] + (1 - share) * was[name]
                torch.testing.assert_close(tensor, moved)
            else:
                assert torch.equal(tensor, was[name])
