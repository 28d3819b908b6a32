"""The network of a config, with the helpers that its method trains beside the members."""

from __future__ import annotations

import functools

import torch

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import method_of, resolved_distill
from ffl_ray.config.overrides import mix_name
from ffl_ray.config.settings import (
    DistillConfig,
    FusionConfig,
    ResolvedConfig,
    ResolvedData,
    ResolvedDistill,
    ResolvedModel,
)
from ffl_ray.config.user_code import is_own
from ffl_ray.distill.registry import recipe_of
from ffl_ray.errors import SettingError, on_one_line
from ffl_ray.models.builder import ImageShape, build_network, later_stages, seeded
from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.outline import outlined
from ffl_ray.models.registry import check_all_images

ANY_CLASSES = 2
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


def check_built(config: ResolvedConfig) -> None:
    """Check what a method asks of the shapes of maps, which only the built network says.

    It is built as an outline, and once for all configs that differ in what changes no shape.

    Raises:
        SettingError: the network, or the method's helpers, can't be made of such branches.
    """
    distill = config.distill
    if not is_own(distill.method):
        named = DistillConfig(method=distill.method, gates=distill.gates)
        distill = resolved_distill(named, config.model)
    model = config.model.model_copy(update={"pretrained": False})  # of equal shapes
    fused = is_own(distill.method) or "fused_map" in method_of(distill).needs
    fusion = config.fusion if fused else FusionConfig()
    _check_outline(model, fusion, distill, image_shape(config.data))


@functools.lru_cache(maxsize=4096)
def _check_outline(
    model: ResolvedModel, fusion: FusionConfig, distill: ResolvedDistill, image: ImageShape
) -> None:
    data = ResolvedData(images_per_class=1)  # its images do not count here
    config = ResolvedConfig(data=data, model=model, fusion=fusion, distill=distill)
    check_all_images(model, image)
    try:
        with outlined():
            build_trained(config, image_shape=image, num_classes=ANY_CLASSES)
    except RuntimeError as error:
        raise SettingError(
            f"model.mix must hold branches that distill.method {distill.method} can train on "
            f"images of {image[1]}x{image[2]}, not {mix_name(model.mix)}: "
            f"{on_one_line(error)[:200]}"
        ) from error
