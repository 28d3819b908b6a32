"""docs/networks.md is what the code says of every network."""

import pytest
from support.helpers import ROOT

from docs.networks_page import (
    IMAGE_SIZE,
    NUM_CLASSES,
    PARTNERS,
    backbone_cost,
    fused_costs,
    meta_network,
    mixes,
    networks_page,
)
from ffl_ray.config.settings import FusionConfig, ResolvedModel
from ffl_ray.models.builder import build_network
from ffl_ray.models.cost import member_costs
from ffl_ray.models.outline import on_meta

IMAGE = (3, IMAGE_SIZE, IMAGE_SIZE)


def test_the_page_of_networks_is_the_code() -> None:
    assert (ROOT / "docs" / "networks.md").read_text() == networks_page() + "\n"


@pytest.mark.parametrize("kind", ["same", "mixed"])
def test_costs_on_the_page_are_those_of_members(kind: str) -> None:
    mix = mixes(PARTNERS[0])[kind]
    page = meta_network(mix)

    for design, cost in fused_costs(page).items():
        fusion = FusionConfig.model_validate({"design": design})
        with on_meta():
            network = build_network(
                ResolvedModel(mix=mix, trunk_stages=2),
                fusion,
                image_shape=IMAGE,
                num_classes=NUM_CLASSES,
                seed=0,
            )
            costs = member_costs(network, IMAGE)
        assert cost == costs["fused"], design
        assert backbone_cost(page).branch == costs["branch0"]
