"""The network of a config, with the helpers that its method trains beside the members."""

from __future__ import annotations

import torch

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.distill.registry import recipe_of
from ffl_ray.models.builder import ImageShape, build_network, later_stages, seeded
from ffl_ray.models.network import FusionNetwork

PLACE = -2  # of the helpers' random numbers: branches count from 0, and -1 is the fusion's


def build_trained(
    config: ResolvedConfig, *, image_shape: ImageShape, num_classes: int
) -> FusionNetwork:
    """A freshly initialised network, as it is trained.

    Helpers have a random stream of their own: what else the network holds starts the same with
    and without them.

    Args:
        image_shape: channels, height and width.

    Raises:
        SettingError: as `build_network` does.
    """
    network = build_network(
        config.model,
        config.fusion,
        config.distill,
        image_shape=image_shape,
        num_classes=num_classes,
        seed=config.seed,
    )
    make = recipe_of(config.distill).helpers
    if make is not None:
        with torch.no_grad():
            example = network.eval().output(torch.zeros(1, *image_shape), network.needs)
        if "later_stages" in network.needs:
            made = later_stages(config.model, image_shape[0])
            example = example._replace(later_stages=made)
        with seeded(config.seed, PLACE):
            network.add_helpers(make(example, config.distill))
    return network.train()
