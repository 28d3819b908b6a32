"""What a pass through a network gives: logits of its members, and what a loss reads beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from ffl_ray.models.branch_modules import Kept, without

MEAN_TEACHER, AVERAGED = "mean_teacher", "averaged"
LaterStages = Callable[[int, int], nn.Module]
Gather = Callable[[Tensor], Tensor]


def one_worker(values: Tensor) -> Tensor:
    """The values of all workers' images where there is one: its own."""
    return values


class NetworkOutput(NamedTuple):
    """Logits of one forward pass, and what else a method's loss is made of.

    Attributes:
        branches: of each branch.
        fused: of the fused classifier, where the method has one.
        attention: shares of the peers' logits in each peer's target (OKDDip).
        mean_teachers: logits of the branches with averaged weights (PCL).
        leader: the branch that learns from the others, its peers, where the method has one.
        kept: maps and features, where the method needs any.
        image_indices: places of the images in the training split, where the method needs them.
        share: of the training that is done, where the method needs it.
        averaged: logits of the branches' mean weights (OKDPH).
        helpers: modules that the method trains beside the members, for its loss to call.
        read: what those of them gave that are called with the images, by name.
        later_stages: makes helpers, where the method needs it: a branch's stages after so many,
            freshly initialised, from its map there to one of its last map's shape.
        gather: from values of this worker's images, in the first dimension, those of all workers'
            of this step, its own first; gradients find their way back.
    """

    branches: Float[Tensor, "branches batch classes"]
    fused: Float[Tensor, "batch classes"] | None = None
    attention: Float[Tensor, "batch peers peers"] | None = None
    mean_teachers: Float[Tensor, "branches batch classes"] | None = None
    leader: int | None = None
    kept: Kept = Kept()
    image_indices: Int64[Tensor, "batch"] | None = None
    share: Float64[Tensor, ""] | None = None
    averaged: Float[Tensor, "batch classes"] | None = None
    helpers: nn.ModuleDict | None = None
    read: Mapping[str, Tensor] | None = None
    later_stages: LaterStages | None = None
    gather: Gather = one_worker

    @property
    def peers(self) -> Float[Tensor, "peers batch classes"]:
        """Logits of the branches that the ensemble is made of: of all but the leader."""
        kept = without(self.leader, self.branches)
        return self.branches if self.leader is None else torch.stack(kept)

    @property
    def ensemble(self) -> Float[Tensor, "batch classes"]:
        """Mean of the branches' logits (not of their probabilities); a leader is none of them."""
        return self.peers.mean(dim=0)

    @property
    def members(self) -> Float[Tensor, "members batch classes"]:
        """Logits of every member, in the order of `member_names`."""
        single = (x[None] for x in (self.fused, self.averaged) if x is not None)
        means = [] if self.mean_teachers is None else [self.mean_teachers]
        return torch.cat([self.branches, self.ensemble[None], *single, *means])

    def at_least_float32(self) -> NetworkOutput:
        """The same in float32 where autocast made bfloat16 of it; what is finer stays."""
        kind = torch.promote_types(self.branches.dtype, torch.float32)
        parts = (x.to(kind) if isinstance(x, Tensor | Kept) else x for x in self)
        read = self.read and {name: x.to(kind) for name, x in self.read.items()}
        return NetworkOutput._make(parts)._replace(read=read)


def member_names(num_branches: int, *, fused: bool = True) -> list[str]:
    """Names of all members: branch0, branch1, ..., ensemble and, where there is one, fused."""
    return [*(f"branch{index}" for index in range(num_branches)), "ensemble", *["fused"] * fused]
