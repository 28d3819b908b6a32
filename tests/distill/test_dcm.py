"""DCM: every classifier of a branch, its exits too, against every one of the others."""

from __future__ import annotations

import math

import pytest
import torch
from support.helped import reached_by, trained_network
from support.reference import reference_ce, reference_kl
from torch import Tensor, nn

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.dcm import dcm_terms
from ffl_ray.distill.exits import Exit, exit_stages
from ffl_ray.models.branch_modules import Kept
from ffl_ray.models.network import FusionNetwork, NetworkOutput

SETTINGS = resolved_distill(DistillConfig(method="dcm"))
LABELS = torch.tensor([3, 1, 4, 1, 5, 9])


def classifiers(network: FusionNetwork, images: Tensor) -> list[list[Tensor]]:
    """Logits of each branch's last classifier and exits, stage by stage."""
    found = []
    for k, modules in enumerate(network.students):
        x, maps = images, []
        for module in (*modules[0].children(), *modules[1].children()):
            x = module(x)
            maps.append(x)
        own = [modules[2](maps[-1].mean(dim=(2, 3)))]
        for stage in (1, 2):
            head = network.helpers[f"exit{k}_{stage}"]
            assert isinstance(head, Exit)
            features = head.stages(maps[stage]).mean(dim=(2, 3))
            own.append(features @ head.classifier.weight.T + head.classifier.bias)
        found.append(own)
    return found


@pytest.mark.parametrize("mix", ["2*resnet8", "resnet8+2*wrn10_1"])
def test_every_pair_of_classifiers_equals_a_loop_in_float64(mix: str) -> None:
    network, output = trained_network("dcm", mix, len(LABELS))
    z = classifiers(network, output.images)

    terms = dcm_terms(output.given, LABELS, SETTINGS)

    one_hot, count = torch.eye(10)[LABELS], len(z)
    for k, own in enumerate(z):
        learns = [
            sum(reference_kl(s, t, 1, 0) for j in range(count) if j != k for t in z[j])
            / (count - 1)
            for s in own
        ]
        expected = {
            f"ce_branches.{k}": reference_ce(own[0], one_hot),
            f"ce_exits.{k}": sum(reference_ce(s, one_hot) for s in own[1:]),
            f"peers_to_branches.{k}": learns[0],
            f"peers_to_exits.{k}": learns[1] + learns[2],
        }
        found = {name: terms[name].value.item() for name in expected}
        assert found == pytest.approx(expected, abs=1e-10)
    assert len(terms) == 4 * count


def test_two_branches_with_an_exit_each_by_hand() -> None:
    sure, even = torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2)
    maps = [[early[:, :, None, None], torch.zeros(1, 2, 1, 1)] for early in (even, sure)]
    output = NetworkOutput(
        torch.stack([sure, even]),
        kept=Kept(stage_maps=maps),
        helpers=nn.ModuleDict({"exit0_1": nn.Flatten(), "exit1_1": nn.Flatten()}),
    )

    terms = dcm_terms(output, torch.tensor([0]), SETTINGS)

    down = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    up = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    expected = {
        "ce_exits.0": math.log(2), "ce_exits.1": -math.log(0.75),
        "peers_to_branches.0": down, "peers_to_branches.1": up,
        "peers_to_exits.0": up, "peers_to_exits.1": down,
    }  # fmt: skip
    found = {name: terms[name].value.item() for name in expected}
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("term", "parts"),
    [
        ("ce_exits.1", {"branch1", "exit1_1", "exit1_2"}),
        ("peers_to_branches.0", {"branch0", "classifier0"}),
        ("peers_to_exits.0", {"branch0", "exit0_1", "exit0_2"}),
    ],
)
def test_each_term_trains_exactly_its_own_parts(term: str, parts: set[str]) -> None:
    network, output = trained_network("dcm", "2*resnet8", len(LABELS))

    torch.autograd.backward(dcm_terms(output.given, LABELS, SETTINGS)[term].value)

    assert reached_by(network) == parts
    last = [p.grad for p in [*network.branches[int(term[-1])].children()][-1].parameters()]
    assert all(grad is None for grad in last) == ("exits" in term)


def test_exits_stand_after_the_two_stages_before_the_last() -> None:
    assert [[*exit_stages(count)] for count in (2, 3, 5)] == [[1], [1, 2], [3, 4]]
