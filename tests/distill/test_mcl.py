"""MCL: contrast of images within networks and between them, image by image."""

from __future__ import annotations

import math

import pytest
import torch
from support.helped import Passed, reached_by, slopes, trained_network
from support.reference import (
    cosines,
    reference_contrast,
    reference_embedding,
    reference_kl,
)

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.contrast import Compared, Pairs, View
from ffl_ray.distill.mcl import mcl_terms
from ffl_ray.models.network import FusionNetwork, NetworkOutput

SETTINGS = resolved_distill(DistillConfig(method="mcl"))
LABELS = torch.tensor([0, 0, 1, 2, 1, 2])
PEERS = ("peers_to_within", "peers_to_between")
Similar = dict[tuple[int, int], list[list[float]]]


def similarities(network: FusionNetwork, output: Passed) -> Similar:
    """Of every branch's images and every branch's, embedded image by image."""
    assert output.given.kept.pooled is not None
    v = [
        reference_embedding(network.helpers[f"embedding{k}"].layers, f)  # type: ignore[arg-type]
        for k, f in enumerate(output.given.kept.pooled)
    ]
    places = range(len(v))
    return {(a, b): cosines(v[a], v[b], 0.1) for a in places for b in places}


def looped(s: Similar, taught: Similar, k: int, count: int) -> dict[str, float]:
    """A branch's terms of these similarities, from those that are held, pair by pair."""
    others, labels = [j for j in range(count) if j != k], LABELS.tolist()

    def kl(student: tuple[int, int], teacher: tuple[int, int]) -> float:
        one, other = (torch.tensor(x, dtype=torch.float64) for x in (s[student], taught[teacher]))
        return reference_kl(one, other, 3, 0)

    return {
        f"contrast_within.{k}": reference_contrast(s[k, k], labels),
        f"contrast_between.{k}": sum(reference_contrast(s[k, j], labels) for j in others),
        f"peers_to_within.{k}": sum(kl((k, k), (j, j)) for j in others),
        f"peers_to_between.{k}": sum(kl((k, j), (j, k)) for j in others),
    }


@pytest.mark.parametrize("mix", ["2*resnet8", "resnet8+2*wrn10_1"])
def test_every_term_equals_a_loop_over_images_in_float64(mix: str) -> None:
    network, output = trained_network("mcl", mix, len(LABELS))
    s, count = similarities(network, output), len(output.given.branches)

    settings = SETTINGS.model_copy(update={"logit_teacher": True})
    terms = mcl_terms(output.given, LABELS, settings)

    z = output.given.branches
    for k in range(count):
        expected = looped(s, s, k, count)
        expected[f"ensemble_to_branches.{k}"] = reference_kl(z[k], z.mean(dim=0), 3, 0)
        found = {name: terms[name].value.item() for name in expected}
        assert found == pytest.approx(expected, abs=1e-10)
        weights = [terms[name].weight for name in expected]
        assert weights == [0.1, 0.1, 1, 1, 1]


@pytest.mark.parametrize("term", ["contrast_within", "contrast_between", *PEERS])
def test_a_terms_derivative_is_that_of_a_loop_whose_teacher_is_held(term: str) -> None:
    network, output = trained_network("mcl", "2*resnet8", len(LABELS))
    taught, name = similarities(network, output), f"{term}.1"
    value = mcl_terms(output.given, LABELS, SETTINGS)[name].value

    found, expected = slopes(
        network, value, lambda: looped(similarities(network, output), taught, 1, 2)[name]
    )

    assert found == pytest.approx(expected, rel=1e-6)
    assert abs(expected) > 1e-3


def test_three_images_by_hand_of_which_one_has_no_other_of_its_class() -> None:
    places = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1])
    view = View(places, places)

    pairs = Pairs.of(labels, NetworkOutput(places[None]))
    settings = SETTINGS.model_copy(update={"contrast_temperature": 1.0})
    value = Compared(pairs, settings).within(view)

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
