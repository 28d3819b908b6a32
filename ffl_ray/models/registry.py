"""The registry of backbones by name, without torch: of this package, of libraries, of the user.

Beside those of `ffl_ray.models.bundled` three kinds of name have a module each, which is imported
when one of them is used: `torchvision:NAME` is a classification network of torchvision, `timm:NAME`
one of timm, any other `module:function` the user's own. A bare name that no family has is
torchvision's, else timm's. A bundled name and a number, `resnet32+4`, is a backbone whose last
stage has so many blocks more.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any, Protocol

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.method_checks import check_method
from ffl_ray.config.methods import method_of
from ffl_ray.config.overrides import nearest
from ffl_ray.config.settings import Config, ResolvedConfig, ResolvedModel
from ffl_ray.config.user_code import is_own
from ffl_ray.config.values import split_deeper
from ffl_ray.errors import SettingError
from ffl_ray.models.bundled import BACKBONES, FAMILIES, BackboneRow

TORCHVISION = "torchvision:"
TIMM = "timm:"
LIBRARIES = {
    TORCHVISION: "ffl_ray.models.families.torchvision_nets",
    TIMM: "ffl_ray.models.families.timm_nets",
}


class BackboneModule(Protocol):
    """A module that makes backbones of names which no family has."""

    __name__: str

    def num_stages(self, name: str) -> int:
        """Stages of a backbone; SettingError when there is none of this name."""
        ...

    def check_images(self, name: str, image_shape: tuple[int, int, int], pretrained: bool) -> None:
        """SettingError when it can't train on images of this shape."""
        ...


class LibraryModule(BackboneModule, Protocol):
    """A module of a library's networks."""

    def names(self) -> list[str]:
        """All that there are, with the library's prefix."""
        ...

    def published_file(self, name: str) -> Path:
        """Where a network's published weights are, or where somebody may put them."""
        ...

    def how_to_put(self, name: str) -> str:
        """What puts them there, in words."""
        ...


def is_bundled(name: str) -> bool:
    """Whether the name is of a family here, not of a library nor the user's own."""
    return ":" not in full_name(name)


@functools.cache
def full_name(name: str) -> str:
    """A backbone's name with its library: `resnet18` is torchvision's, which has it.

    A name of a family here, one that has a library, and one that nobody has stay as they are.
    """
    base, _ = split_deeper(name)
    if ":" in base or any(family.has(base) for family in FAMILIES):
        return name
    having = (p for p in LIBRARIES if f"{p}{base}" in _library_module(p).names())
    return f"{next(having, '')}{name}"


@functools.cache
def backbone_row(name: str) -> BackboneRow:
    """The row of a backbone.

    Raises:
        SettingError: no backbone has this name (the nearest one is named), its family lacks the
            depth, or the user's own can't be used.
    """
    full = full_name(name)
    base, deeper = split_deeper(full)
    if ":" in base:
        if deeper:
            raise SettingError(
                f"model.mix must add blocks to bundled backbones alone, whose stages are made of "
                f"them, not to {base} as {name} does"
            )
        module = _module_of(full)
        return BackboneRow(f"{module.__name__}:build", {"name": full}, module.num_stages(full))
    rows = (family.row(base) for family in FAMILIES)
    row = next((row for row in rows if row is not None), None)
    if row is None:
        raise SettingError(
            f"model.mix must name known backbones ({', '.join(BACKBONES)}, torchvision:NAME, "
            f"timm:NAME or your MODULE:FUNCTION), not {name!r}{nearest(name, list(BACKBONES))}"
        )
    return row._replace(arguments=row.arguments | {"deeper": deeper}) if deeper else row


def _library(name: str) -> str | None:
    """The prefix of the library that a full name is of."""
    return next((prefix for prefix in LIBRARIES if name.startswith(prefix)), None)


def _module_of(full: str) -> BackboneModule:
    path = LIBRARIES.get(_library(full) or "", "ffl_ray.models.user_backbone")
    module: BackboneModule = importlib.import_module(path)
    return module


def _library_module(prefix: str) -> LibraryModule:
    module: LibraryModule = importlib.import_module(LIBRARIES[prefix])
    return module


def library_of(name: str) -> Any:
    """The module of the library that a full name is of; none: it is no library's.

    torchvision's takes 6 s to import, with torch's compiler; timm's imports it as well.
    """
    prefix = _library(name)
    return prefix and _library_module(prefix)


def check_images(name: str, image_shape: tuple[int, int, int], *, pretrained: bool) -> None:
    """Check that a backbone can train on images of this shape; nothing is computed twice.

    Raises:
        SettingError: a library's network needs others, or the user's own breaks the contract of
            `ffl_ray.models.user_backbone`.
    """
    full = full_name(name)
    if ":" in full:
        _module_of(full).check_images(full, image_shape, pretrained)


def check_all_images(model: ResolvedModel, image_shape: tuple[int, int, int]) -> None:
    """Check that every backbone can train on such images, before an outline of it is made.

    A check runs a library's network backward, which inside an outline can't be done; there it is
    known by then.

    Raises:
        SettingError: as `check_images`.
    """
    for name in dict.fromkeys(model.mix):
        check_images(name, image_shape, pretrained=model.pretrained)


def check_model(config: ResolvedConfig) -> None:
    """Check what the settings of one network mean together, before anything trains.

    Raises:
        SettingError: a backbone is unknown or can't take the data's images, the shared trunk
            would leave no private stage, there are no pretrained weights for a backbone, or
            the method needs more branches.
    """
    model, trunk_stages = config.model, config.model.trunk_stages
    for name in dict.fromkeys(model.mix):
        stages = backbone_row(name).num_stages
        if trunk_stages >= stages:
            raise SettingError(
                f"model.trunk_stages must be less than the {stages} "
                f"stage{'s' * (stages > 1)} of {name}, so that each branch keeps one, not "
                f"{trunk_stages}"
            )
        if "later_stages" in method_of(config.distill).needs and stages < 2:
            raise SettingError(
                f"model.mix must hold backbones of at least 2 stages for distill.method "
                f"{config.distill.method}, whose exits stand between them, not {name}"
            )
        if model.pretrained and not _library(full_name(name)):
            raise SettingError(
                f"model.pretrained needs backbones with published weights, torchvision:NAME or "
                f"timm:NAME, not {name}"
            )
        check_images(name, image_shape(config.data), pretrained=model.pretrained)
    if method_of(config.distill).head == "fusion" and is_own(config.fusion.design):
        from ffl_ray.models.user_fusion import check_contract  # loads torch

        check_contract(config.fusion.design, len(model.mix))
    check_method(config)


def check_weights_here(config: Config) -> None:
    """Check that published weights need not be fetched: nobody asked for those of a table.

    Raises:
        SettingError: they are not in torch's folder.
    """
    for name in map(full_name, dict.fromkeys(config.model.mix or ())):
        if config.model.pretrained and _library(name):
            check_published_here(
                name, "model.pretrained", "a study that goes on or is confirmed downloads none"
            )


def check_published_here(name: str, setting: str, why: str) -> None:
    """Check that the published weights of a library's network are on this machine.

    Args:
        setting: that asks for them.
        why: they are not fetched.

    Raises:
        SettingError: they are not.
    """
    library = library_of(name)
    if not library.published_file(name).is_file():
        raise SettingError(
            f"{setting}: the weights of {name} are not here, and {why}; {library.how_to_put(name)}"
        )
