"""L-MCL without its meta-learnt weights: mcl between every stage of one branch and another's."""

from __future__ import annotations

import pytest
import torch
from support.helped import reached_by, trained_network
from support.reference import (
    cosines,
    reference_ce,
    reference_contrast,
    reference_embedding,
    reference_kl,
)

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.exits import Exit
from ffl_ray.distill.lmcl import Aggregator, lmcl_terms

SETTINGS = resolved_distill(DistillConfig(method="lmcl"))
LABELS = torch.tensor([0, 0, 1, 2, 1, 2])


def test_every_stage_of_a_branch_against_every_one_of_the_others_in_a_loop() -> None:
    network, output = trained_network("lmcl", "2*resnet8", len(LABELS))
    maps, labels, one_hot = output.given.kept.stage_maps, LABELS.tolist(), torch.eye(10)[LABELS]
    assert maps is not None
    z, v, mixes = [], [], []
    for k in (0, 1):
        exits = [network.helpers[f"exit{k}_{stage}"] for stage in (1, 2)]
        features, logits = [], []
        for head, x in zip(exits, maps[k], strict=False):
            assert isinstance(head, Exit)
            features.append(head.stages(x).flatten(2).mean(dim=2))
            logits.append(features[-1] @ head.classifier.weight.T + head.classifier.bias)
        features.append(maps[k][2].flatten(2).mean(dim=2))
        logits.append(output.given.branches[k])
        helpers = [network.helpers[f"embedding{k}_{s}"] for s in range(3)]
        v.append(
            [
                reference_embedding(helper.layers, f)  # type: ignore[arg-type]
                for helper, f in zip(helpers, features, strict=True)
            ]
        )
        aggregator = network.helpers[f"aggregator{k}"]
        assert isinstance(aggregator, Aggregator)
        together = torch.tensor(
            [[x for one in rows for x in one] for rows in zip(*v[k], strict=True)]
        )
        shares = aggregator.layers(together.double()).exp()
        shares = shares / shares.sum(dim=1, keepdim=True)
        mixes.append(sum(shares[:, s : s + 1] * logits[s] for s in range(3)))
        z.append(logits)

    terms = lmcl_terms(output.given, LABELS, SETTINGS)

    def kl(student: list[list[float]], teacher: list[list[float]]) -> float:
        return reference_kl(torch.tensor(student), torch.tensor(teacher), 3, 0)

    for k, j in ((0, 1), (1, 0)):
        two = [(one, other) for one in v[k] for other in v[j]]
        expected = {
            f"ce_branches.{k}": reference_ce(z[k][2], one_hot),
            f"ce_exits.{k}": sum(reference_ce(logits, one_hot) for logits in z[k][:2]),
            f"ce_aggregates.{k}": reference_ce(mixes[k], one_hot),
            f"contrast_within.{k}": sum(
                reference_contrast(cosines(one, one, 0.1), labels) for one in v[k]
            ),
            f"contrast_between.{k}": sum(
                reference_contrast(cosines(one, other, 0.1), labels) for one, other in two
            ),
            f"peers_to_within.{k}": sum(
                kl(cosines(one, one, 0.1), cosines(other, other, 0.1)) for one, other in two
            ),
            f"peers_to_between.{k}": sum(
                kl(cosines(one, other, 0.1), cosines(other, one, 0.1)) for one, other in two
            ),
            f"aggregates_to_branches.{k}": sum(reference_kl(z[k][2], mix, 3, 0) for mix in mixes),
        }
        found = {name: terms[name].value.item() for name in expected}
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


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
