"""The table of backbones by name, without torch: a new family is one file and its rows here."""

from __future__ import annotations

from typing import NamedTuple

from ffl_ray.config import Config, nearest
from ffl_ray.errors import SettingError


class BackboneRow(NamedTuple):
    """How a named backbone is built: `function(in_channels, **arguments)` of a family's module."""

    function: str
    arguments: dict[str, int]
    num_stages: int


def _resnet(depth: int) -> BackboneRow:
    return BackboneRow("ffl_ray.models.resnet:cifar_resnet", {"depth": depth}, 3)


def _wide_resnet(depth: int, widen: int) -> BackboneRow:
    arguments = {"depth": depth, "widen": widen}
    return BackboneRow("ffl_ray.models.wide_resnet:wide_resnet", arguments, 3)


BACKBONES = {
    "resnet20": _resnet(20),
    "resnet32": _resnet(32),
    "resnet44": _resnet(44),
    "resnet56": _resnet(56),
    "resnet110": _resnet(110),
    "wrn16_2": _wide_resnet(16, 2),
    "wrn40_2": _wide_resnet(40, 2),
}


def backbone_row(name: str) -> BackboneRow:
    """The row of a backbone.

    Raises:
        SettingError: no backbone has this name; the nearest one is named.
    """
    if name not in BACKBONES:
        known = list(BACKBONES)
        raise SettingError(
            f"model.mix must name known backbones ({', '.join(known)}), not {name!r}"
            f"{nearest(name, known)}"
        )
    return BACKBONES[name]


def check_model(config: Config) -> None:
    """Check what the settings of one network mean together.

    Raises:
        SettingError: a backbone is unknown, or the shared trunk would leave no private stage.
    """
    for name in config.model.mix:
        stages = backbone_row(name).num_stages
        if config.model.trunk_stages >= stages:
            raise SettingError(
                f"model.trunk_stages must be less than the {stages} stages of {name}, so that "
                f"each branch keeps one, not {config.model.trunk_stages}"
            )
