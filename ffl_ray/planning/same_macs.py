"""One network of about the multiply-accumulates of a whole one: deeper, or wider."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import method_of, resolved_from
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.config.values import split_deeper
from ffl_ray.errors import SettingError
from ffl_ray.models.bundled import FAMILIES, Family
from ffl_ray.models.depths import Choices, Series
from ffl_ray.planning.cost import network_size
from ffl_ray.planning.member_costs import planned_members

MOST = 200  # blocks in a stage, and times the width


def same_macs(config: ResolvedConfig, num_classes: int) -> str:
    """The backbone whose MACs are nearest, by their ratio, to those of the config's whole network.

    Candidates are the depths and the widths of the families of its branches.

    Raises:
        SettingError: no family of its branches has depths or widths.
    """

    def macs_of(name: str) -> int:
        one = resolved_from({"model.mix": (name,), "distill.method": "independent"})
        shape = image_shape(config.data)
        return network_size(one.model, one.fusion, one.distill, shape, num_classes).macs

    wanted = _macs_of_whole(config, num_classes)
    found = {
        name: abs(math.log(macs_of(name) / wanted))
        for backbone in dict.fromkeys(config.model.mix)
        for name in _candidates(backbone, wanted, macs_of)
    }
    if not found:
        raise SettingError(
            f"--arms same_macs must be of backbones whose family has depths or widths, not "
            f"{', '.join(dict.fromkeys(config.model.mix))}"
        )
    return min(found, key=lambda name: found[name])


def _macs_of_whole(config: ResolvedConfig, num_classes: int) -> int:
    """MACs of one image through the fused classifier or, where there is none, the ensemble.

    Averaged weights and a leader, which are in neither, do not count.
    """
    member = "ensemble" if method_of(config.distill).head is None else "fused"
    rows = planned_members(config, num_classes)
    return next(int(row["macs"]) for row in rows if row["member"] == member)


def _candidates(backbone: str, wanted: int, macs_of: Callable[[str], int]) -> Iterator[str]:
    """The names of a family on both sides of the wanted MACs, along each of its numbers."""
    base, _ = split_deeper(backbone)
    # A library's `resnet18` looks like a family's name whose depth that family lacks.
    for family in (family for family in FAMILIES if family.has(base)):
        row = family.row(base)
        assert row is not None, "it has the name"
        numbers = {name: int(n) for name, n in row.arguments.items()}
        for argument, number in numbers.items():
            values = _values(family, argument, number)
            names = [_named(family, numbers | {argument: value}) for value in values]
            yield from _around(names, wanted, macs_of)


def _values(family: Family, argument: str, number: int) -> list[int]:
    """What a number of a backbone's name may be, rising."""
    rule = family.depths
    if argument != "depth":
        return list(range(1, MOST))
    if isinstance(rule, Choices):
        return sorted(rule.depths)
    if isinstance(rule, Series):
        return [rule.step * blocks + rule.rest for blocks in range(1, MOST)]
    return [number]


def _around(names: list[str], wanted: int, macs_of: Callable[[str], int]) -> set[str]:
    """The two neighbours, of backbones of rising MACs, whose MACs enclose what is wanted."""
    low, step = 0, 1
    while low + step < len(names) - 1 and macs_of(names[low + step]) < wanted:
        low, step = low + step, 2 * step
    high = min(len(names) - 1, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if macs_of(names[middle]) < wanted else (low, middle)
    return {names[low], names[high]}


def _named(family: Family, numbers: dict[str, int]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(numbers[match.group(1)]), family.pattern)
