"""KDCL's teachers: never worse than, the best of, or weighed by what the branches say."""

from __future__ import annotations

import pytest
import torch
from support.reference import random_output, reference_ce

from ffl_ray.distill.kdcl import TEACHERS, shares_of


@pytest.mark.parametrize("mixed", [False, True])
def test_min_logit_is_never_worse_than_the_best_branch(mixed: bool) -> None:
    output = random_output(4)
    eye = torch.eye(10, dtype=torch.float64)
    shares = 0.75 * eye[:6] + 0.25 * eye[1:7] if mixed else eye[:6]

    teacher = TEACHERS["min_logit"](output.branches, shares)

    losses = [reference_ce(branch, shares) for branch in output.branches]
    assert reference_ce(teacher, shares) <= min(losses)


def test_naive_takes_each_images_best_branch() -> None:
    output = random_output(3)
    shares = shares_of(torch.arange(6), output.branches)

    teacher = TEACHERS["naive"](output.branches, shares)

    for i in range(6):
        losses = [reference_ce(z[i : i + 1], shares[i : i + 1]) for z in output.branches]
        assert torch.equal(teacher[i], output.branches[losses.index(min(losses)), i])


def test_linear_is_the_best_convex_combination_on_a_grid() -> None:
    output = random_output(2)
    shares = shares_of(torch.arange(6), output.branches)

    teacher = TEACHERS["linear"](output.branches, shares)

    for i in range(6):
        first, second = output.branches[:, i : i + 1]
        grid = [
            reference_ce(a * first + (1 - a) * second, shares[i : i + 1])
            for a in torch.linspace(0, 1, 101).tolist()
        ]
        assert reference_ce(teacher[i : i + 1], shares[i : i + 1]) <= min(grid) + 0.01


def test_general_weighs_by_the_inverse_of_the_error_correlations() -> None:
    output = random_output(3)
    shares = shares_of(torch.arange(6), output.branches)

    teacher = TEACHERS["general"](output.branches, shares)

    errors = [z.softmax(1) - shares for z in output.branches]
    loop = torch.tensor([[float((a * b).sum()) / 6 for b in errors] for a in errors])
    inverse = torch.linalg.inv(loop.double())
    weights = inverse.sum(1) / inverse.sum()
    expected = sum(w * z for w, z in zip(weights, output.branches, strict=True))
    assert torch.allclose(teacher, expected, atol=1e-4)
    same = output.branches[:1].expand(3, -1, -1)
    assert torch.allclose(TEACHERS["general"](same, shares), same[0])
