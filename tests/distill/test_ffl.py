"""FFL's loss: hand values, a loop-wise reference, and who gets a gradient from what."""

import math

import pytest
import torch
from support.reference import reference_ce, reference_kl
from torch import nn

from ffl_ray.config.methods import METHODS, resolved_distill, resolved_from
from ffl_ray.config.settings import METHOD_NAMES, DistillConfig, ResolvedConfig
from ffl_ray.distill.ffl import ffl_terms
from ffl_ray.distill.registry import RECIPES
from ffl_ray.distill.terms import distillation_kl, total_loss
from ffl_ray.models.builder import build_network
from ffl_ray.models.network import NetworkOutput


@pytest.mark.parametrize("num_branches", [2, 3, 5])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_every_term_equals_a_loop_in_float64(num_branches: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(num_branches)
    output = NetworkOutput(
        3 * torch.randn(num_branches, 6, 10, dtype=torch.float64, generator=generator),
        3 * torch.randn(6, 10, dtype=torch.float64, generator=generator),
    )
    labels = torch.arange(6)
    settings = resolved_distill(
        DistillConfig(
            temperature=temperature, ensemble_to_fused_weight=0.5, fused_to_branch_weight=2.0
        )
    )

    terms = ffl_terms(output, labels, settings)
    total = total_loss(terms, 0.25)

    assert output.fused is not None
    mean = sum(output.branches[1:], output.branches[0]) / num_branches
    one_hot = torch.eye(10)[labels]
    expected = {"ce_fused": reference_ce(output.fused, one_hot)}
    expected["ensemble_to_fused"] = reference_kl(output.fused, mean, temperature, 1e-7)
    for i, logits in enumerate(output.branches):
        expected[f"ce_branches.{i}"] = reference_ce(logits, one_hot)
        expected[f"fused_to_branches.{i}"] = reference_kl(logits, output.fused, temperature, 1e-7)
    assert {n: t.value.item() for n, t in terms.items()} == pytest.approx(expected, abs=1e-12)
    weights = {"ensemble_to_fused": 0.25 * 0.5, "fused_to_branches": 0.25 * 2.0}
    assert total.item() == pytest.approx(
        sum(weights.get(n.partition(".")[0], 1.0) * v for n, v in expected.items()), abs=1e-12
    )


@pytest.mark.parametrize(
    ("ensemble_to_fused", "fused_to_branch"), [(None, None), (2.0, None), (None, 5.0), (2.0, 5.0)]
)
def test_each_direction_has_its_own_temperature_or_the_common_one(
    ensemble_to_fused: float | None, fused_to_branch: float | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    output = NetworkOutput(
        torch.randn(2, 6, 10, dtype=torch.float64, generator=generator),
        torch.randn(6, 10, dtype=torch.float64, generator=generator),
    )
    settings = resolved_distill(
        DistillConfig(
            temperature=3.0,
            ensemble_to_fused_temperature=ensemble_to_fused,
            fused_to_branch_temperature=fused_to_branch,
        )
    )

    terms = ffl_terms(output, torch.arange(6), settings)

    found = [terms[name].value.item() for name in ("ensemble_to_fused", "fused_to_branches.1")]
    mean = output.branches.mean(0)
    assert output.fused is not None
    assert found == pytest.approx(
        [
            reference_kl(output.fused, mean, ensemble_to_fused or 3.0, 1e-7),
            reference_kl(output.branches[1], output.fused, fused_to_branch or 3.0, 1e-7),
        ],
        abs=1e-12,
    )


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_every_cross_entropy_takes_smoothed_and_mixed_labels(smoothing: float, mixed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    output = NetworkOutput(
        torch.randn(2, 6, 10, dtype=torch.float64, generator=generator),
        torch.randn(6, 10, dtype=torch.float64, generator=generator),
    )
    eye = torch.eye(10, dtype=torch.float64)
    shares = 0.75 * eye[:6] + 0.25 * eye[1:7] if mixed else eye[:6]
    settings = resolved_distill(DistillConfig(label_smoothing=smoothing))

    terms = ffl_terms(output, shares if mixed else torch.arange(6), settings)

    targets = (1 - smoothing) * shares + smoothing / 10
    assert output.fused is not None
    for name, logits in (("ce_branches.1", output.branches[1]), ("ce_fused", output.fused)):
        assert terms[name].value.item() == pytest.approx(reference_ce(logits, targets), abs=1e-12)


def test_kl_of_equal_logits_is_zero_and_by_hand_otherwise() -> None:
    teacher = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)

    assert distillation_kl(teacher, teacher, temperature=1.0).item() == pytest.approx(0, abs=1e-12)
    by_hand = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert distillation_kl(student, teacher, temperature=1.0).item() == pytest.approx(by_hand)


def test_kl_gradient_keeps_its_scale_when_the_temperature_grows() -> None:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(8, 10, dtype=torch.float64, generator=generator)
    teacher = torch.randn(8, 10, dtype=torch.float64, generator=generator)
    norms = []
    for temperature in (10.0, 20.0):
        leaf = student.clone().requires_grad_()
        distillation_kl(leaf, teacher, temperature=temperature).backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        norms.append(float(leaf.grad.norm()))

    assert norms[0] == pytest.approx(norms[1], rel=0.1)


def test_switched_off_terms_are_absent() -> None:
    output = NetworkOutput(torch.randn(2, 4, 5), torch.randn(4, 5))
    settings = resolved_distill(DistillConfig(ensemble_to_fused=False, fused_to_branch=False))

    terms = ffl_terms(output, torch.arange(4), settings)

    assert set(terms) == {"ce_branches.0", "ce_branches.1", "ce_fused"}


PARTS = ("trunk", "branch0", "branch1", "classifier0", "classifier1", "fusion")
ROUTING = {
    "ce_fused": {"trunk", "branch0", "branch1", "fusion"},
    "ce_branches.0": {"trunk", "branch0", "classifier0"},
    "ce_branches.1": {"trunk", "branch1", "classifier1"},
    "ensemble_to_fused": {"trunk", "branch0", "branch1", "fusion"},
    "fused_to_branches.0": {"trunk", "branch0", "classifier0"},
    "fused_to_branches.1": {"trunk", "branch1", "classifier1"},
}


def reached_parts(term: str, config: ResolvedConfig) -> set[str]:
    """The parts of a two-branch network that get a gradient from one loss term."""
    network = build_network(
        config.model, config.fusion, image_shape=(3, 16, 16), num_classes=10, seed=0
    )
    modules: list[nn.Module] = [network.trunks, *network.branches, *network.classifiers]
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    terms = ffl_terms(network(images), torch.arange(4), config.distill)
    torch.autograd.backward(terms[term].value)
    assert network.fusion is not None
    return {
        name
        for name, module in zip(PARTS, [*modules, network.fusion], strict=True)
        if any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())
    }


@pytest.mark.parametrize("term", ROUTING)
def test_each_term_trains_exactly_the_parts_of_the_routing_table(term: str) -> None:
    config = resolved_from({"model.mix": "2*resnet20"})

    assert reached_parts(term, config) == ROUTING[term]


@pytest.mark.parametrize("term", ["ce_fused", "ensemble_to_fused"])
def test_detached_fusion_trains_the_fusion_module_alone(term: str) -> None:
    config = resolved_from({"model.mix": "2*resnet20", "fusion.detach": True})

    assert reached_parts(term, config) == {"fusion"}


def test_every_method_of_the_settings_is_in_the_table() -> None:
    assert set(METHODS) == set(RECIPES) == set(METHOD_NAMES)
