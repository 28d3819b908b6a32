"""AHBF-OKD: assistants up a ladder of deeper branches."""

from __future__ import annotations

import math

import pytest
import torch
from support.helped import reached_by, trained_network
from support.reference import reference_ce, reference_kl
from torch import Tensor, nn

from ffl_ray.config.methods import resolved_distill, resolved_from
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.ahbf import Assistant, ahbf_terms
from ffl_ray.distill.terms import total_loss
from ffl_ray.exported.member import stripped
from ffl_ray.models.branch_modules import Kept
from ffl_ray.models.network import NetworkOutput

SETTINGS = resolved_distill(DistillConfig(method="ahbf"))
LABELS = torch.tensor([3, 1, 4, 1, 5, 9])
LADDER = "resnet8+resnet8+1+resnet8+3"


def normalised(x: Tensor, layer: nn.Module) -> Tensor:
    """Batch norm with the batch's statistics, over all dimensions but the second."""
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    dims = [0, *range(2, x.ndim)]
    mean = x.mean(dim=dims, keepdim=True)
    variance = (x - mean).square().mean(dim=dims, keepdim=True)
    shape = [1, -1, *[1] * (x.ndim - 2)]
    scaled = (x - mean) / (variance + 1e-5).sqrt() * layer.weight.view(shape)
    return scaled + layer.bias.view(shape)


@pytest.mark.parametrize("mix", [LADDER, "densenet7_12+densenet7_12+1"])
def test_the_ladder_equals_a_loop_in_float64(mix: str) -> None:
    network, output = trained_network("ahbf", mix, len(LABELS))
    z = list(output.given.branches)
    maps = output.given.kept.stage_maps
    assert maps is not None

    terms = ahbf_terms(output.given, LABELS, SETTINGS)

    one_hot = torch.eye(10)[LABELS]
    fused, below = maps[0][-1], z[0]
    expected: dict[str, float] = {}
    total = sum(reference_ce(zk, one_hot) for zk in z)
    for m in range(len(z) - 1):
        assistant = network.helpers[f"assistant{m}"]
        assert isinstance(assistant, Assistant)
        conv, norm = assistant.merge
        linear, gate_norm, _ = assistant.gate
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        assert isinstance(linear, nn.Linear)
        weight = conv.weight[:, :, 0, 0]
        both = torch.cat([fused, maps[m + 1][-1]], dim=1)
        merged = torch.einsum("oc,bchw->bohw", weight, both) + conv.bias[:, None, None]
        fused = normalised(merged, norm)
        scores = fused.flatten(2).mean(dim=2) @ linear.weight.T + linear.bias
        gates = normalised(scores, gate_norm).clamp(min=0).exp()
        gates = gates / gates.sum(dim=1, keepdim=True)
        mixed = gates[:, :1] * below + gates[:, 1:] * z[m + 1]
        expected[f"ce_assistants.{m}"] = reference_ce(mixed, one_hot)
        expected[f"assistants_to_deeper.{m}"] = reference_kl(z[m + 1], mixed, 3, 1e-7)
        expected[f"assistants_to_lower.{m}"] = reference_kl(below, mixed, 3, 1e-7)
        expected[f"deeper_to_lower.{m}"] = reference_kl(below, z[m + 1], 3, 1e-7)
        kappa = 1.5 * 0.5 * 0.25
        total += expected[f"ce_assistants.{m}"] + kappa * (
            2 * expected[f"assistants_to_deeper.{m}"]
            + 2 * expected[f"assistants_to_lower.{m}"]
            + 4 * expected[f"deeper_to_lower.{m}"]
        )
        below = mixed
    found = {name: terms[name].value.item() for name in expected}
    assert found == pytest.approx(expected, abs=1e-9)
    assert len(terms) == len(expected) + len(z)
    assert total_loss(terms, 0.25).item() == pytest.approx(total, abs=1e-9)


def test_a_gate_that_has_learnt_nothing_mixes_two_branches_evenly() -> None:
    assistant = Assistant(1, 1).train()
    for parameter in assistant.gate[0].parameters():
        nn.init.zeros_(parameter)
    maps = [[torch.randn(2, 1, 2, 2)] for _ in range(2)]
    branches = torch.tensor([[[2 * math.log(3.0), 0.0]] * 2, [[0.0, 0.0]] * 2])
    output = NetworkOutput(
        branches, kept=Kept(stage_maps=maps), helpers=nn.ModuleDict({"assistant0": assistant})
    )

    terms = ahbf_terms(output, torch.tensor([0, 0]), SETTINGS.model_copy(update={"temperature": 1}))

    kl = 0.75 * math.log(0.75 / 0.9) + 0.25 * math.log(0.25 / 0.1)
    assert terms["ce_assistants.0"].value.item() == pytest.approx(-math.log(0.75), abs=1e-5)
    assert terms["assistants_to_lower.0"].value.item() == pytest.approx(kl, abs=1e-5)


@pytest.mark.parametrize(
    ("term", "parts"),
    [
        ("ce_branches.0", {"branch0", "classifier0"}),
        ("ce_assistants.0", {"branch0", "branch1", "classifier0", "classifier1", "assistant0"}),
        ("deeper_to_lower.0", {"branch0", "branch1", "classifier0", "classifier1"}),
        ("assistants_to_deeper.1",
         {*(f"branch{k}" for k in range(3)), *(f"classifier{k}" for k in range(3)),
          "assistant0", "assistant1"}),
    ],
)  # fmt: skip
def test_each_term_trains_its_student_and_its_teacher(term: str, parts: set[str]) -> None:
    network, output = trained_network("ahbf", LADDER, len(LABELS))

    torch.autograd.backward(ahbf_terms(output.given, LABELS, SETTINGS)[term].value)

    assert reached_by(network) == parts | {"trunk"}


def test_the_lowest_branch_is_deployed_without_assistants_or_blocks_of_the_others() -> None:
    network, _ = trained_network("ahbf", LADDER, 2)
    alone, _ = trained_network("independent", "resnet8", 2)

    kept = stripped(network, "branch0")

    count = sum(p.numel() for p in alone.parameters())
    assert sum(p.numel() for p in kept.parameters()) == count
    mix = resolved_from({"distill.method": "ahbf"}).model.mix
    assert mix == ("resnet32", "resnet32+4", "resnet32+8", "resnet32+12")
