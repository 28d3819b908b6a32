"""The registry of backbones by name, without torch: a new family is one file and its row here.

Two more kinds of name have a module each, which is imported when one of them is used:
`torchvision:NAME` is a classification network of torchvision, any other `module:function` the
user's own. A bundled name and a number, `resnet32+4`, is a backbone whose last stage has so many
blocks more.
"""

from __future__ import annotations

import functools
import importlib
import re
from typing import NamedTuple, Protocol

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.method_checks import check_method
from ffl_ray.config.methods import method_of
from ffl_ray.config.overrides import nearest
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.config.user_code import is_own
from ffl_ray.config.values import split_deeper
from ffl_ray.errors import SettingError
from ffl_ray.models import depths

TORCHVISION = "torchvision:"


class BackboneRow(NamedTuple):
    """Row of a backbone: built by `function(in_channels, **arguments)` of a family's module.

    The arguments are the numbers of its name, and `deeper`: blocks that its last stage has more.
    """

    function: str
    arguments: dict[str, int | str]
    num_stages: int


class Family(NamedTuple):
    """Backbones of one architecture.

    Attributes:
        pattern: their names, with the builder's arguments in braces.
        function: the builder.
        num_stages: of each of them.
        depths: the depths that exist; None where the name gives none.
        listed: the usual ones, which the tests cover and messages name.
        source: where the architecture was published.
    """

    pattern: str
    function: str
    num_stages: int
    depths: depths.Series | depths.Choices | None
    listed: tuple[str, ...]
    source: str

    def row(self, name: str) -> BackboneRow | None:
        """The row of a name, or None when the name is not of this family.

        Raises:
            SettingError: the family lacks this depth; its rule is named.
        """
        numbers = re.sub(r"\{(\w+)\}", r"(?P<\1>[1-9][0-9]{0,3})", self.pattern)
        match = re.fullmatch(numbers, name)
        if match is None:
            return None
        arguments: dict[str, int | str] = {key: int(n) for key, n in match.groupdict().items()}
        if self.depths is not None:
            try:
                self.depths.check(int(arguments["depth"]))
            except SettingError as error:
                raise SettingError(f"model.mix: {name}: {error}") from None
        return BackboneRow(self.function, arguments, self.num_stages)


class BackboneModule(Protocol):
    """A module that makes backbones of names which no family has."""

    __name__: str

    def num_stages(self, name: str) -> int:
        """Stages of a backbone; SettingError when there is none of this name."""
        ...

    def check_images(self, name: str, image_shape: tuple[int, int, int], pretrained: bool) -> None:
        """SettingError when it can't train on images of this shape."""
        ...


FAMILIES = (
    Family(
        "resnet{depth}",
        "ffl_ray.models.families.resnet:cifar_resnet",
        3,
        depths.CIFAR_RESNET,
        ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
        "He et al. 2016, arXiv:1512.03385, section 4.2",
    ),
    Family(
        "bottleneck_resnet{depth}",
        "ffl_ray.models.families.bottleneck_resnet:bottleneck_resnet",
        3,
        depths.BOTTLENECK_RESNET,
        ("bottleneck_resnet110", "bottleneck_resnet164"),
        "He et al. 2016, arXiv:1603.05027; the ResNet-110 of ONE, OKDDip and PCL",
    ),
    Family(
        "wide_bottleneck_resnet{depth}_{widen}",
        "ffl_ray.models.families.wide_bottleneck_resnet:wide_bottleneck_resnet",
        3,
        depths.WIDE_BOTTLENECK_RESNET,
        ("wide_bottleneck_resnet20_8",),
        "the WRN-20-8 of OKDDip (Chen et al. 2020, arXiv:1912.00350) and PCL",
    ),
    Family(
        "preact_resnet{depth}",
        "ffl_ray.models.families.preact_resnet:preact_resnet",
        3,
        depths.PREACT_RESNET,
        ("preact_resnet110",),
        "He et al. 2016, arXiv:1603.05027",
    ),
    Family(
        "preact_bottleneck_resnet{depth}",
        "ffl_ray.models.families.preact_resnet:preact_bottleneck_resnet",
        3,
        depths.PREACT_BOTTLENECK_RESNET,
        ("preact_bottleneck_resnet164",),
        "He et al. 2016, arXiv:1603.05027",
    ),
    Family(
        "wrn{depth}_{widen}",
        "ffl_ray.models.families.wide_resnet:wide_resnet",
        3,
        depths.WIDE_RESNET,
        ("wrn16_2", "wrn16_4", "wrn28_10", "wrn40_2"),
        "Zagoruyko and Komodakis 2016, arXiv:1605.07146",
    ),
    Family(
        "vgg{depth}",
        "ffl_ray.models.families.vgg:vgg",
        5,
        depths.VGG,
        ("vgg11", "vgg13", "vgg16", "vgg19"),
        "Simonyan and Zisserman 2015, arXiv:1409.1556, with batch norm and one linear layer",
    ),
    Family(
        "densenet{depth}_{growth}",
        "ffl_ray.models.families.densenet:densenet",
        3,
        depths.DENSENET,
        ("densenet40_12",),
        "Huang et al. 2017, arXiv:1608.06993",
    ),
    Family(
        "densenet_bc{depth}_{growth}",
        "ffl_ray.models.families.densenet:densenet_bc",
        3,
        depths.DENSENET_BC,
        ("densenet_bc100_12",),
        "Huang et al. 2017, arXiv:1608.06993; densenet_bc40_12 is the .19M net of other tables",
    ),
    Family(
        "mobilenet_v2",
        "ffl_ray.models.families.mobilenet_v2:mobilenet_v2",
        4,
        None,
        ("mobilenet_v2",),
        "Sandler et al. 2018, arXiv:1801.04381, strides for 32x32",
    ),
    Family(
        "shufflenet_v2",
        "ffl_ray.models.families.shufflenet_v2:shufflenet_v2",
        3,
        None,
        ("shufflenet_v2",),
        "Ma et al. 2018, arXiv:1807.11164, width 1x, stem for 32x32",
    ),
)


BACKBONES = tuple(name for family in FAMILIES for name in family.listed)


def is_bundled(name: str) -> bool:
    """Whether the name is of a family here, not of torchvision nor the user's own."""
    return ":" not in name


@functools.cache
def backbone_row(name: str) -> BackboneRow:
    """The row of a backbone.

    Raises:
        SettingError: no backbone has this name (the nearest one is named), its family lacks the
            depth, or the user's own can't be used.
    """
    base, deeper = split_deeper(name)
    if not is_bundled(name):
        if deeper:
            raise SettingError(
                f"model.mix must add blocks to bundled backbones alone, whose stages are made of "
                f"them, not to {base} as {name} does"
            )
        module = _module_of(name)
        return BackboneRow(f"{module.__name__}:build", {"name": name}, module.num_stages(name))
    rows = (family.row(base) for family in FAMILIES)
    row = next((row for row in rows if row is not None), None)
    if row is None:
        raise SettingError(
            f"model.mix must name known backbones ({', '.join(BACKBONES)}, torchvision:NAME or "
            f"your MODULE:FUNCTION), not {name!r}{nearest(name, list(BACKBONES))}"
        )
    return row._replace(arguments=row.arguments | {"deeper": deeper}) if deeper else row


def _module_of(name: str) -> BackboneModule:
    theirs = name.startswith(TORCHVISION)
    path = "families.torchvision_nets" if theirs else "user_backbone"
    module: BackboneModule = importlib.import_module(f"ffl_ray.models.{path}")
    return module


def check_images(name: str, image_shape: tuple[int, int, int], *, pretrained: bool) -> None:
    """Check that a backbone can train on images of this shape; nothing is computed twice.

    Raises:
        SettingError: a network of torchvision needs others, or the user's own breaks the
            contract of `ffl_ray.models.user_backbone`.
    """
    if not is_bundled(name):
        _module_of(name).check_images(name, image_shape, pretrained)


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
        if model.pretrained and not name.startswith(TORCHVISION):
            raise SettingError(
                f"model.pretrained needs backbones with published weights, torchvision:NAME, "
                f"not {name}"
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
    for name in dict.fromkeys(config.model.mix or ()):
        if config.model.pretrained and name.startswith(TORCHVISION):
            importlib.import_module("ffl_ray.models.families.torchvision_nets").check_here(name)
