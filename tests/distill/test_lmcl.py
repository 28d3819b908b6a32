"""L-MCL without its meta-learnt weights: mcl between every stage of one branch and another's."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from support.helped import Passed, reached_by, slopes, trained_network
from support.reference import (
    cosines,
    reference_ce,
    reference_contrast,
    reference_embedding,
    reference_kl,
)
from torch import Tensor, nn

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.contrast import View
from ffl_ray.distill.exits import Exit
from ffl_ray.distill.lmcl import Aggregator, lmcl_terms
from ffl_ray.models.branch_modules import Kept
from ffl_ray.models.network import FusionNetwork, NetworkOutput

SETTINGS = resolved_distill(DistillConfig(method="lmcl"))
LABELS = torch.tensor([0, 0, 1, 2, 1, 2])
Vectors = list[list[float]]


class Stages(NamedTuple):
    """A branch's embeddings and logits, the earliest first, and the mix of its logits."""

    embedded: list[Vectors]
    logits: list[Tensor]
    mix: Tensor


def float64(values: Vectors) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def stages_of(network: FusionNetwork, output: Passed, k: int) -> Stages:
    """One branch's, image by image, by the weights of its helpers."""
    assert output.given.kept.stage_maps is not None
    maps = output.given.kept.stage_maps[k]
    features, logits = [], []
    for head, x in zip([network.helpers[f"exit{k}_{s}"] for s in (1, 2)], maps, strict=False):
        assert isinstance(head, Exit)
        features.append(head.stages(x).flatten(2).mean(dim=2))
        logits.append(features[-1] @ head.classifier.weight.T + head.classifier.bias)
    features.append(maps[2].flatten(2).mean(dim=2))
    logits.append(output.given.branches[k])
    helpers = [network.helpers[f"embedding{k}_{s}"] for s in range(3)]
    v = [
        reference_embedding(helper.layers, f)  # type: ignore[arg-type]
        for helper, f in zip(helpers, features, strict=True)
    ]
    aggregator = network.helpers[f"aggregator{k}"]
    assert isinstance(aggregator, Aggregator)
    together = float64([[x for one in rows for x in one] for rows in zip(*v, strict=True)])
    shares = aggregator.layers(together).exp()
    shares = shares / shares.sum(dim=1, keepdim=True)
    mix = torch.stack([shares[:, s : s + 1] * one for s, one in enumerate(logits)]).sum(dim=0)
    return Stages(v, logits, mix)


def looped(now: list[Stages], held: list[Stages], k: int) -> dict[str, float]:
    """A branch's terms by its stages now, from teachers that are held, pair by pair."""
    own, labels, one_hot, j = now[k], LABELS.tolist(), torch.eye(10)[LABELS], 1 - k
    pairs = [(s, t) for s in range(3) for t in range(3)]

    def similar(of: list[Stages], a: int, s: int, b: int, t: int) -> Vectors:
        return cosines(of[a].embedded[s], of[b].embedded[t], 0.1)

    def kl(student: Vectors, teacher: Vectors) -> float:
        return reference_kl(float64(student), float64(teacher), 3, 0)

    return {
        f"ce_branches.{k}": reference_ce(own.logits[2], one_hot),
        f"ce_exits.{k}": sum(reference_ce(logits, one_hot) for logits in own.logits[:2]),
        f"ce_aggregates.{k}": reference_ce(own.mix, one_hot),
        f"contrast_within.{k}": sum(
            reference_contrast(similar(now, k, s, k, s), labels) for s in range(3)
        ),
        f"contrast_between.{k}": sum(
            reference_contrast(similar(now, k, s, j, t), labels) for s, t in pairs
        ),
        f"peers_to_within.{k}": sum(
            kl(similar(now, k, s, k, s), similar(held, j, t, j, t)) for s, t in pairs
        ),
        f"peers_to_between.{k}": sum(
            kl(similar(now, k, s, j, t), similar(held, j, t, k, s)) for s, t in pairs
        ),
        f"aggregates_to_branches.{k}": sum(
            reference_kl(own.logits[2], branch.mix, 3, 0) for branch in held
        ),
    }


def test_every_stage_of_a_branch_against_every_one_of_the_others_in_a_loop() -> None:
    network, output = trained_network("lmcl", "2*resnet8", len(LABELS))
    now = [stages_of(network, output, k) for k in (0, 1)]

    terms = lmcl_terms(output.given, LABELS, SETTINGS)

    expected = looped(now, now, 0) | looped(now, now, 1)
    assert {n: t.value.item() for n, t in terms.items()} == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "term",
    [
        "ce_aggregates",
        "contrast_within",
        "contrast_between",
        "peers_to_within",
        "peers_to_between",
        "aggregates_to_branches",
    ],
)
def test_a_terms_derivative_is_that_of_a_loop_whose_teacher_is_held(term: str) -> None:
    network, output = trained_network("lmcl", "2*resnet8", len(LABELS))
    held, name = [stages_of(network, output, k) for k in (0, 1)], f"{term}.0"
    value = lmcl_terms(output.given, LABELS, SETTINGS)[name].value

    def anew() -> float:
        return looped([stages_of(network, output, k) for k in (0, 1)], held, 0)[name]

    found, expected = slopes(network, value, anew)

    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert (abs(expected) > 1e-3) == (term != "aggregates_to_branches")


class First(nn.Module):
    """The shares of a mix that is a branch's first classifier."""

    def forward(self, views: list[View]) -> Tensor:
        return torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(len(views[0].own), -1)


def exit_of_three_to_one() -> Exit:
    """An exit whose logits are three to one for class 0, whatever its map is."""
    head = Exit(nn.Identity(), 2, 2).double()
    nn.init.zeros_(head.classifier.weight)
    head.classifier.bias.data = torch.tensor([math.log(3.0), 0.0], dtype=torch.float64)
    return head


def test_two_branches_with_an_exit_each_by_hand() -> None:
    # Of three images the first two are of one class. Branch 0 tells the third one from them, and
    # branch 1 has all at that one's place; so do their exits.
    places = float64([[1, 0], [1, 0], [0, 1]]), float64([[0, 1], [0, 1], [0, 1]])
    maps = [x[:, :, None, None] for x in places]
    helpers: dict[str, nn.Module] = {}
    for k in (0, 1):
        helpers |= {f"exit{k}_1": exit_of_three_to_one(), f"aggregator{k}": First()}
        helpers |= {f"embedding{k}_{s}": nn.Identity() for s in (0, 1)}
    output = NetworkOutput(
        torch.zeros(2, 3, 2, dtype=torch.float64),
        kept=Kept(stage_maps=[[x, x] for x in maps], pooled=[*places]),
        helpers=nn.ModuleDict(helpers),
    )
    plain = {"temperature": 1.0, "contrast_temperature": 1.0, "contrast_weight": 0.5}
    settings = SETTINGS.model_copy(update=plain)

    terms = lmcl_terms(output, torch.tensor([0, 0, 1]), settings)

    e, log3 = math.e, math.log(3)
    # Rows of similarities as shares: (1, 1, 0) makes (a, a, b), (0, 0, 1) makes (c, c, d).
    a, b, c, d = e / (2 * e + 1), 1 / (2 * e + 1), 1 / (e + 2), e / (e + 2)
    from_even = [-log3 - (2 * math.log(x) + math.log(y)) / 3 for x, y in ((a, b), (c, d))]
    to_even = [2 * x * math.log(x) + y * math.log(y) + log3 for x, y in ((a, b), (c, d))]
    sure = -(2 * math.log(0.75) + math.log(0.25)) / 3
    taught = 2 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    expected = {
        "contrast_within": [2 * 2 / 3 * math.log(1 + 1 / e), 2 * 2 / 3 * math.log(2)],
        "contrast_between": [4 * 2 / 3 * math.log(2), 4 * 2 / 3 * math.log(1 + e)],
        "peers_to_within": [4 * (2 * x[0] + x[1]) / 3 for x in (from_even, to_even)],
        "peers_to_between": [4 * to_even[1], 4 * from_even[1]],
        "ce_branches": [math.log(2)] * 2,
        "ce_exits": [sure] * 2,
        "ce_aggregates": [sure] * 2,
        "aggregates_to_branches": [taught] * 2,
    }
    named = {f"{name}.{k}": two[k] for name, two in expected.items() for k in (0, 1)}
    assert {n: t.value.item() for n, t in terms.items()} == pytest.approx(named, abs=1e-12)
    assert {terms[f"contrast_{of}.0"].weight for of in ("within", "between")} == {0.5}


def test_a_mix_teaches_the_last_classifiers_and_is_taught_by_labels() -> None:
    network, output = trained_network("lmcl", "2*resnet8", len(LABELS))
    terms = lmcl_terms(output.given, LABELS, SETTINGS)

    torch.autograd.backward(terms["aggregates_to_branches.1"].value, retain_graph=True)
    taught = reached_by(network)
    torch.autograd.backward(terms["ce_aggregates.0"].value)

    assert taught == {"branch1", "classifier1"}
    own = {
        f"{name}0_{s}"
        for name, places in (("exit", (1, 2)), ("embedding", (0, 1, 2)))
        for s in places
    }
    assert reached_by(network) - taught == own | {"branch0", "classifier0", "aggregator0"}
