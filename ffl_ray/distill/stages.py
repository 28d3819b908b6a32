"""What methods ask of the maps after every stage, and what they make of one."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.errors import SettingError
from ffl_ray.models.fusion import MapShape
from ffl_ray.models.fusion_designs import Map
from ffl_ray.models.network import NetworkOutput


def stage_maps_of(output: NetworkOutput) -> list[list[Map]]:
    """Each branch's maps after every stage."""
    assert output.kept.stage_maps is not None, "the method needs stage_maps"
    return output.kept.stage_maps


def stage_shapes(example: NetworkOutput, settings: ResolvedDistill) -> list[list[MapShape]]:
    """Shapes of each branch's maps after every stage, of which there are two at least.

    Raises:
        SettingError: a branch has one stage.
    """
    maps = stage_maps_of(example)
    fewest = min(map(len, maps))
    if fewest < 2:
        raise SettingError(
            f"model.mix must hold backbones of at least 2 stages for distill.method "
            f"{settings.method}, which reads the maps of every stage, not {fewest}"
        )
    return [[MapShape(*x.shape[1:]) for x in own] for own in maps]


def common_stage_shapes(example: NetworkOutput, settings: ResolvedDistill) -> list[MapShape]:
    """Shapes of the maps after every stage, which are those of every branch.

    Raises:
        SettingError: branches differ in them, or have one stage.
    """
    first, *others = stage_shapes(example, settings)
    for index, shapes in enumerate(others, start=1):
        if shapes != first:
            raise SettingError(
                f"model.mix must hold backbones whose maps are of one shape after every stage for "
                f"distill.method {settings.method}, not {in_words(first)} (branch 0) and "
                f"{in_words(shapes)} (branch {index})"
            )
    return first


def attention_map(x: Map) -> Float[Tensor, "batch pixels"]:
    """Mean of a map's squares over its channels: where it attends to."""
    return x.square().mean(dim=1).flatten(1)


def normed_mse(one: Tensor, other: Tensor) -> Float[Tensor, ""]:
    """Mean squared difference of what is of length 1 in every row.

    It is the mean over images and entries, not the squared distance: at most 4 / entries.
    """
    return F.mse_loss(F.normalize(one.flatten(1)), F.normalize(other.flatten(1)))


def in_words(shapes: list[MapShape]) -> str:
    """Shapes as a message names them: channels x height x width."""
    return ", ".join("x".join(map(str, shape)) for shape in shapes)
