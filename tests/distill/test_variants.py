"""Variants of dml and cl_ilr: their loss as a loop in float64, its derivative, who gets which."""

from __future__ import annotations

import pytest
import torch
from support.helpers import small_config
from support.reference import random_output, reference_ce, reference_kl
from torch import Tensor, nn

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.registry import loss_terms_of
from ffl_ray.distill.terms import total_loss
from ffl_ray.models.builder import build_network
from ffl_ray.models.network import NetworkOutput

LABELS = torch.tensor([3, 1, 4, 1, 5, 9])
T, RAMP = 3.0, 0.25
OKDDIPS_DML = {"method": "dml", "dml_teacher": "mean", "temperature": T, "detach_targets": False}
OKDDIPS_CL = {
    "method": "cl_ilr",
    "ce_weight": 1.0,
    "weight": 1.0,
    "temperature": T,
    "detach_targets": False,
}
EACH = {"method": "dml", "temperature": T, "detach_targets": False}


def loss(branches: Tensor, named: dict[str, object]) -> Tensor:
    settings = resolved_distill(DistillConfig.model_validate(named))
    terms = loss_terms_of(settings)(NetworkOutput(branches), LABELS)
    return total_loss(terms, RAMP)


def looped(branches: Tensor, targets: Tensor, named: dict[str, object]) -> float:
    """OKDDip's programs peer by peer and image by image; `targets` are what is learnt from."""
    one_hot, total = torch.eye(10)[LABELS], 0.0
    for k, student in enumerate(branches):
        others = [targets[j] for j in range(len(branches)) if j != k]
        total += reference_ce(student, one_hot)
        if named.get("dml_teacher", "each") == "each" and named["method"] == "dml":
            kls = [reference_kl(student, other, T, 0) for other in others]
            total += RAMP * sum(kls) / len(kls)
        else:
            mean = torch.zeros(6, 10, dtype=torch.float64)
            for i in range(6):
                for c in range(10):
                    mean[i, c] = sum(float(other[i, c]) for other in others) / len(others)
            total += RAMP * reference_kl(student, mean, T, 0)
    return total


@pytest.mark.parametrize("named", [OKDDIPS_DML, OKDDIPS_CL, EACH])
@pytest.mark.parametrize("detached", [True, False])
def test_loss_and_derivative_are_the_loops(named: dict[str, object], detached: bool) -> None:
    branches = random_output(4).branches.clone().requires_grad_()

    value = loss(branches, named | {"detach_targets": detached})
    (gradient,) = torch.autograd.grad(value, branches)

    at = branches.detach()
    assert value.item() == pytest.approx(looped(at, at, named), abs=1e-12)
    step = 1e-5
    for place in [(0, 0, 3), (1, 2, 4), (2, 5, 0), (3, 3, 7)]:
        moved = []
        for way in (step, -step):
            other = at.clone()
            other[place] += way
            moved.append(looped(other, at if detached else other, named))
        slope = (moved[0] - moved[1]) / (2 * step)
        assert gradient[place].item() == pytest.approx(slope, abs=1e-7)


def test_dml_of_two_has_one_teacher_either_way() -> None:
    branches = random_output(2).branches

    each, mean = (loss(branches, {"method": "dml", "dml_teacher": t}) for t in ("each", "mean"))

    assert torch.equal(each, mean)


def test_the_papers_weights_stand_where_none_is_set() -> None:
    branches = random_output(3).branches
    own = {"method": "cl_ilr", "weight": 0.3}

    assert torch.equal(loss(branches, own), loss(branches, own | {"ce_weight": 0.7}))
    assert not torch.equal(loss(branches, own), loss(branches, own | {"ce_weight": 1.0}))


@pytest.mark.parametrize("named", [OKDDIPS_DML, OKDDIPS_CL])
@pytest.mark.parametrize("detached", [True, False])
def test_a_term_trains_its_teachers_where_they_are_not_detached(
    named: dict[str, object], detached: bool
) -> None:
    changes = {f"distill__{name}": value for name, value in named.items()}
    config = small_config(
        model__mix="3*resnet8",
        model__trunk_stages=2,
        **changes | {"distill__detach_targets": detached},
    )
    shape = image_shape(config.data)
    network = build_network(
        config.model, config.fusion, config.distill, image_shape=shape, num_classes=10, seed=0
    )
    images = torch.randn(8, *shape, generator=torch.Generator().manual_seed(0))
    terms = loss_terms_of(config.distill)(network(images), torch.arange(8))

    torch.autograd.backward(terms["peers_to_branches.1"].value)

    def reached(part: nn.Module) -> bool:
        return any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())

    assert reached(network.trunks)
    for parts in (network.branches, network.classifiers):
        assert [reached(part) for part in parts] == [not detached, True, not detached]
