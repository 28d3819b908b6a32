"""Depths that each family has: rules without torch, for the registry and for the builders."""

from __future__ import annotations

from typing import NamedTuple

from ffl_ray.errors import SettingError


class Series(NamedTuple):
    """A family whose depth is a number of layers per block, times n blocks, plus a rest.

    Attributes:
        family: as a message names it.
        step: layers that one more block in every stage adds.
        rest: layers outside the blocks.
    """

    family: str
    step: int
    rest: int

    def blocks(self, depth: int) -> int:
        """Blocks in each stage of a network of this depth.

        Raises:
            SettingError: the family has no such depth.
        """
        blocks, rest = divmod(depth - self.rest, self.step)
        if rest or blocks < 1:
            raise SettingError(
                f"{self.family}'s depth is {self.step}n + {self.rest} with n >= 1, not {depth}"
            )
        return blocks

    def check(self, depth: int) -> None:
        """Raises as `blocks` does."""
        self.blocks(depth)


class Choices(NamedTuple):
    """A family with a few depths.

    Attributes:
        family: as a message names it.
        depths: all of them.
    """

    family: str
    depths: tuple[int, ...]

    def check(self, depth: int) -> None:
        """Check that the family has this depth.

        Raises:
            SettingError: it does not.
        """
        if depth not in self.depths:
            *most, last = map(str, self.depths)
            raise SettingError(f"{self.family}'s depth is {', '.join(most)} or {last}, not {depth}")


CIFAR_RESNET = Series("a CIFAR ResNet", 6, 2)
BOTTLENECK_RESNET = Series("a bottleneck CIFAR ResNet", 9, 2)
WIDE_BOTTLENECK_RESNET = Series("a wide bottleneck CIFAR ResNet", 9, 2)
PREACT_RESNET = Series("a pre-activation CIFAR ResNet", 6, 2)
PREACT_BOTTLENECK_RESNET = Series("a pre-activation bottleneck CIFAR ResNet", 9, 2)
WIDE_RESNET = Series("a wide ResNet", 6, 4)
VGG = Choices("a VGG", (11, 13, 16, 19))
DENSENET = Series("a CIFAR DenseNet", 3, 4)
DENSENET_BC = Series("a CIFAR DenseNet-BC", 6, 4)
