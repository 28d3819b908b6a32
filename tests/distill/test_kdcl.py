"""KDCL's teachers: never worse than, the best of, or weighed by what the branches say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from support.helpers import small_config
from support.reference import random_output, reference_ce
from torch import Tensor

from ffl_ray.distill.hooks import Moment
from ffl_ray.distill.kdcl import KDCL, TEACHERS, HeldOutShares
from ffl_ray.distill.networks import build_trained
from ffl_ray.distill.registry import loss_terms_of
from ffl_ray.distill.terms import distillation_kl, shares_of
from ffl_ray.models.network import NetworkOutput


def random_branches(num_branches: int, num_classes: int, scale: float) -> tuple[Tensor, Tensor]:
    """Logits of branches that agree in part, for 300 images, and their labels."""
    generator = torch.Generator().manual_seed(num_branches)
    shape = (num_branches, 300, num_classes)
    common = torch.randn(shape[1:], generator=generator, dtype=torch.float64)
    own = torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(num_classes, (300,), generator=generator)
    branches = scale * (common + own) / 2**0.5
    branches[:, torch.arange(300), labels] += scale * (labels % 2)  # half of them are easy
    return branches, shares_of(labels, branches)


def cross_entropies(logits: Tensor, shares: Tensor) -> Tensor:
    return -(logits.log_softmax(1) * shares).sum(1)


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


@pytest.mark.parametrize("num_branches", range(2, 9))
@pytest.mark.parametrize(("num_classes", "scale"), [(10, 3.0), (100, 5.0)])
def test_linear_has_the_least_loss_of_all_convex_combinations(
    num_branches: int, num_classes: int, scale: float
) -> None:
    """The gap of Frank and Wolfe, (p - y)(z_t - z_k) at most, bounds how much more it has."""
    branches, shares = random_branches(num_branches, num_classes, scale)

    teacher = TEACHERS["linear"](branches, shares)

    error = teacher.softmax(1) - shares
    gaps = (error * (teacher - branches)).sum(2).amax(0)
    best = torch.stack([cross_entropies(z, shares) for z in branches]).amin(0)
    assert gaps.mean() < 1e-3
    assert gaps.quantile(0.99) < 0.05
    assert (cross_entropies(teacher, shares) <= best + 1e-9).all()


@pytest.mark.parametrize("num_branches", [2, 4, 8])
def test_linear_is_what_a_solver_finds(num_branches: int) -> None:
    branches, shares = random_branches(num_branches, 10, 4.0)
    teacher = TEACHERS["linear"](branches, shares)

    for i in range(20):

        def loss(weights: Any, i: int = i) -> float:
            mixed = torch.einsum("n,nc->c", torch.as_tensor(weights), branches[:, i])
            return float(cross_entropies(mixed[None], shares[i : i + 1]))

        found = minimize(
            loss,
            np.full(num_branches, 1 / num_branches),
            bounds=[(0, 1)] * num_branches,
            constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        )
        assert cross_entropies(teacher, shares)[i] == pytest.approx(found.fun, abs=1e-3)


def test_general_batch_weighs_by_the_inverse_of_the_error_correlations() -> None:
    output = random_output(3)
    shares = shares_of(torch.arange(6), output.branches)

    teacher = TEACHERS["general_batch"](output.branches, shares)

    errors = [z.softmax(1) - shares for z in output.branches]
    loop = torch.tensor([[float((a * b).sum()) / 6 for b in errors] for a in errors])
    inverse = torch.linalg.inv(loop.double())
    weights = inverse.sum(1) / inverse.sum()
    expected = sum(w * z for w, z in zip(weights, output.branches, strict=True))
    assert torch.allclose(teacher, expected, atol=1e-4)
    same = output.branches[:1].expand(3, -1, -1)
    assert torch.allclose(TEACHERS["general_batch"](same, shares), same[0])


def test_general_measures_its_shares_on_all_held_out_images_of_all_workers() -> None:
    generator = torch.Generator().manual_seed(3)
    branches = torch.randn(3, 30, 10, generator=generator)
    labels = torch.arange(30) % 10
    config = small_config(
        model__mix="3*resnet8", distill__method="kdcl", distill__kdcl_teacher="general"
    )
    network = build_trained(config, image_shape=(1, 8, 8), num_classes=10)
    parts = [(NetworkOutput(branches[:, p]), labels[p]) for p in (slice(0, 20), slice(20, 30))]
    images, expected = torch.randn(4, 1, 8, 8), HeldOutShares(3)
    at_first = network(images).helpers["teacher"](branches)

    def shared(total: Tensor) -> Tensor:
        errors = branches[:, 20:].softmax(2) - F.one_hot(labels[20:], 10)
        flat = errors.flatten(1).double()
        return total + flat @ flat.T

    moment = Moment(network, config.distill, 0, 0, 5, lambda: iter(parts[:1]), shared)
    KDCL.after_epoch(moment)  # type: ignore[misc]

    errors = (branches.softmax(2) - F.one_hot(labels, 10)).flatten(1).double()
    solved = torch.linalg.solve(errors @ errors.T, torch.ones(3, dtype=torch.float64))
    expected.shares.copy_(solved / solved.sum())
    terms = loss_terms_of(config.distill)(
        NetworkOutput(branches, helpers=network(images).helpers), labels
    )
    kl = distillation_kl(branches[1], expected(branches), temperature=2)
    assert torch.allclose(at_first, branches.mean(0), atol=1e-6)
    assert terms["peers_to_branches.1"].value.item() == pytest.approx(kl.item(), abs=1e-5)
