"""The modules of all branches, from images to logits; and what is kept of a pass through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.branch_streams import side_by_side
from ffl_ray.models.fusion_designs import Features, Map
from ffl_ray.models.pooling import full_precision, pooled

ItemT = TypeVar("ItemT")


class BranchModules(NamedTuple):
    """Modules that give the branches' logits: the network's own, or their averages over time."""

    trunks: nn.ModuleDict
    branches: nn.ModuleList
    classifiers: nn.ModuleList

    def of(self, index: int, trunk_of: Sequence[str]) -> list[nn.Module]:
        """Those of one branch, in their order."""
        return [self.trunks[trunk_of[index]], self.branches[index], self.classifiers[index]]

    def classify(self, maps: list[Map]) -> Float[Tensor, "branches batch classes"]:
        """Each branch's logits of its pooled map."""
        with full_precision(maps[0]):
            pairs = zip(self.classifiers, maps, strict=True)
            return torch.stack([classifier(pooled(x)) for classifier, x in pairs])

    def maps(
        self,
        images: Tensor,
        wanted: Sequence[tuple[int, str]],
        after_trunk: Callable[[str, Map], Map],
        streams: Sequence[torch.cuda.Stream],
        *,
        keeps_stages: bool = False,
    ) -> BranchMaps:
        """Maps of images, which have a dimension more in front where each branch has a view.

        Args:
            wanted: branches, each with the key of its trunk.
            after_trunk: what becomes of a trunk's output on its way to the branches.
            streams: of the branches after the first.
        """
        bases: dict[str, Map] = {}
        leads: dict[str, list[Map] | None] = {}
        inputs, stages = [], []
        for index, key in wanted:
            if images.dim() > 4 or key not in bases:
                view = images[index] if images.dim() > 4 else images
                leads[key] = [] if keeps_stages else None
                base = after_trunk(key, through(self.trunks[key], view, leads[key]))
                bases.setdefault(key, base)
            else:
                base = bases[key]
            inputs.append(base)
            stages.append([*(leads[key] or ())])
        branches = [self.branches[index] for index, _ in wanted]
        if not keeps_stages:
            return BranchMaps(bases, side_by_side(branches, inputs, streams[: len(inputs) - 1]))
        maps = [through(*ran) for ran in zip(branches, inputs, stages, strict=True)]
        return BranchMaps(bases, maps, [outputs[1:] for outputs in stages])


class BranchMaps(NamedTuple):
    """Maps of one pass through trunks and branches.

    Attributes:
        bases: output of each trunk, of the first view that it is given.
        maps: of the branches.
        stages: each branch's maps after every stage, those of its trunk among them, where they are
            kept.
    """

    bases: dict[str, Map]
    maps: list[Map]
    stages: list[list[Map]] | None = None


class Kept(NamedTuple):
    """What a training pass keeps beside logits, each where the method needs it.

    Attributes:
        stage_maps: each branch's maps after every stage, those of its trunk among them.
        pooled: mean of each branch's map over its pixels.
        fused_map: what the fused classifier pools.
    """

    stage_maps: list[list[Map]] | None = None
    pooled: list[Features] | None = None
    fused_map: Map | None = None

    def to(self, kind: torch.dtype) -> Kept:
        """The same in one number format."""
        stages, features, fused = self
        return Kept(
            stages and [[x.to(kind) for x in maps] for maps in stages],
            features and [x.to(kind) for x in features],
            None if fused is None else fused.to(kind),
        )


def through(modules: nn.Module, x: Map, kept: list[Map] | None) -> Map:
    """The output of modules in a row.

    Args:
        kept: is given the output of each of them; none: nothing is kept.
    """
    if kept is None:
        output: Tensor = modules(x)
        return output
    for module in modules.children():
        x = module(x)
        kept.append(x)
    return x


def without(index: int | None, items: Iterable[ItemT]) -> list[ItemT]:
    """All items but one."""
    return [item for place, item in enumerate(items) if place != index]
