"""MCL: contrast of images within networks and between them, image by image."""

from __future__ import annotations

import math

import pytest
import torch
from support.helped import reached_by, trained_network
from support.reference import (
    cosines,
    reference_contrast,
    reference_embedding,
    reference_kl,
)

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.contrast import Pairs, View, contrast
from ffl_ray.distill.mcl import mcl_terms
from ffl_ray.models.network import NetworkOutput

SETTINGS = resolved_distill(DistillConfig(method="mcl"))
LABELS = torch.tensor([0, 0, 1, 2, 1, 2])


@pytest.mark.parametrize("mix", ["2*resnet8", "resnet8+2*wrn10_1"])
def test_every_term_equals_a_loop_over_images_in_float64(mix: str) -> None:
    network, output = trained_network("mcl", mix, len(LABELS))
    labels, count = LABELS.tolist(), len(output.given.branches)
    assert output.given.kept.pooled is not None
    v = [
        reference_embedding(network.helpers[f"embedding{k}"].layers, f)  # type: ignore[arg-type]
        for k, f in enumerate(output.given.kept.pooled)
    ]
    s = {(a, b): cosines(v[a], v[b], 0.1) for a in range(count) for b in range(count)}

    settings = SETTINGS.model_copy(update={"logit_teacher": True})
    terms = mcl_terms(output.given, LABELS, settings)

    def kl(student: tuple[int, int], teacher: tuple[int, int]) -> float:
        return reference_kl(torch.tensor(s[student]), torch.tensor(s[teacher]), 3, 0)

    z = output.given.branches
    for k in range(count):
        others = [j for j in range(count) if j != k]
        expected = {
            f"contrast_within.{k}": reference_contrast(s[k, k], labels),
            f"contrast_between.{k}": sum(reference_contrast(s[k, j], labels) for j in others),
            f"peers_to_within.{k}": sum(kl((k, k), (j, j)) for j in others),
            f"peers_to_between.{k}": sum(kl((k, j), (j, k)) for j in others),
            f"ensemble_to_branches.{k}": reference_kl(z[k], z.mean(dim=0), 3, 0),
        }
        found = {name: terms[name].value.item() for name in expected}
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
        weights = [terms[name].weight for name in expected]
        assert weights == [0.1, 0.1, 1, 1, 1]


def test_three_images_by_hand_of_which_one_has_no_other_of_its_class() -> None:
    places = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1])
    view = View(places, places)

    pairs = Pairs.of(labels, NetworkOutput(places[None]))
    value = contrast(view.against(view, 1.0), pairs)

    assert value.item() == pytest.approx(2 / 3 * math.log(1 + math.exp(-1)), abs=1e-12)


@pytest.mark.parametrize(
    ("term", "parts"),
    [
        ("contrast_within.1", {"branch1", "embedding1"}),
        ("contrast_between.0", {"branch0", "embedding0", "branch1", "embedding1"}),
        ("peers_to_within.1", {"branch1", "embedding1"}),
        ("peers_to_between.1", {"branch0", "embedding0", "branch1", "embedding1"}),
    ],
)
def test_each_term_trains_exactly_its_own_parts(term: str, parts: set[str]) -> None:
    network, output = trained_network("mcl", "2*resnet8", len(LABELS))

    terms = mcl_terms(output.given, LABELS, SETTINGS)
    torch.autograd.backward(terms[term].value)

    assert reached_by(network) == parts
    assert "ensemble_to_branches.0" not in terms
