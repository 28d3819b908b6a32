"""Backbones of this package by name, without torch: a new family is one file and its row here."""

from __future__ import annotations

import re
from typing import NamedTuple

from ffl_ray.errors import SettingError
from ffl_ray.models import depths


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

    def has(self, name: str) -> bool:
        """Whether it has a backbone of this name."""
        try:
            return self.row(name) is not None
        except SettingError:
            return False

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
