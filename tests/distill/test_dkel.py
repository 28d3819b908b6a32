"""DKEL: mean teachers of weights of their own, which teach together first and then each."""

from __future__ import annotations

import math

import pytest
import torch
from support.helpers import small_config
from support.reference import random_output, reference_kl

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.registry import loss_terms_of
from ffl_ray.models.builder import build_network
from ffl_ray.models.network import FusionNetwork

SETTINGS = resolved_distill(DistillConfig(method="dkel"))


@pytest.mark.parametrize(
    ("epoch", "early"),
    [(0, 1.0), (0.9, 1.0), (1, math.exp(-0.5)), (9, math.exp(-4.5)), (10, 0.0), (299, 0.0)],
)
def test_the_mean_of_the_averages_gives_way_to_each_over_ten_epochs_of_300(
    epoch: float, early: float
) -> None:
    output = random_output(3)._replace(share=torch.tensor(epoch / 300, dtype=torch.float64))
    assert output.mean_teachers is not None

    terms = loss_terms_of(SETTINGS)(output, torch.arange(6))

    for k, student in enumerate(output.branches):
        first, second = (m for j, m in enumerate(output.mean_teachers) if j != k)
        each = [reference_kl(student, teacher, 3, 0) for teacher in (first, second)]
        together = reference_kl(student, (first + second) / 2, 3, 0)
        expected = (1 - early) * sum(each) / 2 + early * together
        found = terms[f"mean_teachers_to_branches.{k}"]
        assert found.value.item() == pytest.approx(expected, abs=1e-12)
        assert found.weight == 0.1


def network_of(method: str, seed: int = 0) -> FusionNetwork:
    config = small_config(model__mix="2*resnet8", distill__method=method)
    return build_network(
        config.model,
        config.fusion,
        config.distill,
        image_shape=image_shape(config.data),
        num_classes=10,
        seed=seed,
    )


def test_averages_start_from_weights_that_no_branch_has() -> None:
    network, again, pcl = network_of("dkel"), network_of("dkel"), network_of("pcl")

    own, same, copies = (
        [p for p in net.mean_teachers.parameters() if p.dim() == 4]  # type: ignore[union-attr]
        for net in (network, again, pcl)
    )
    starts = [p for p in network.branch_modules.branches.parameters() if p.dim() == 4]
    for one, two, copied in zip(own, same, copies, strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, copied)
        assert not any(one.shape == p.shape and torch.equal(one, p) for p in starts)
    for one, other in zip(network.branches.parameters(), pcl.branches.parameters(), strict=True):
        assert torch.equal(one, other)
    assert network.mean_teachers is not None
    assert not any(p.requires_grad for p in network.mean_teachers.parameters())
