"""Modules that methods beside FFL add to the branches: a gate, an attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.fusion_designs import BranchLogits, Features, Logits, Map
from ffl_ray.models.pooling import full_precision


class LogitGate(nn.Module):
    """Sum of the branches' logits under softmax weights that the trunk's features give.

    z = sum_k g_k z_k with g = softmax(ReLU(BN(W f))), f the pooled output of the shared trunk.

    Source: ONE, Lan et al. 2018, arXiv:1806.04606, section 3.1.

    Attributes:
        reads_logits: whether the branches' logits must be given, which it weighs.
    """

    reads_logits = True

    def __init__(self, trunk_width: int, num_branches: int) -> None:
        super().__init__()
        self.linear = nn.Linear(trunk_width, num_branches)
        self.bn = nn.BatchNorm1d(num_branches)

    def forward(
        self, maps: list[Map], trunk_features: Features, branch_logits: BranchLogits | None
    ) -> Logits:
        assert branch_logits is not None, "a gate weighs the branches' logits"
        with full_precision(trunk_features):
            shares = self.bn(self.linear(trunk_features)).relu().softmax(dim=1)
            mixed: Tensor = torch.einsum("nbc,bn->bc", branch_logits, shares)
        return mixed


class PeerAttention(nn.Module):
    """Shares by which each peer listens to each: softmax over b of Q(f_a) . K(f_b), not scaled.

    f_a is peer a's pooled map; Q and K are linear to an eighth of the widest map, without bias,
    and shared by the peers whose maps are equally wide (the authors' all are).

    Source: OKDDip, Chen et al. 2020, arXiv:1912.00350, and the authors' program.

    Args:
        widths: channels of each peer's map.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        inner = max(1, max(widths) // 8)
        self.widths = tuple(widths)
        self.queries = nn.ModuleDict(
            {str(width): nn.Linear(width, inner, bias=False) for width in sorted(set(widths))}
        )
        self.keys = nn.ModuleDict(
            {str(width): nn.Linear(width, inner, bias=False) for width in sorted(set(widths))}
        )

    def forward(self, features: list[Features]) -> Float[Tensor, "batch peers peers"]:
        queries = self._project(self.queries, features)
        keys = self._project(self.keys, features)
        return (queries @ keys.transpose(1, 2)).softmax(dim=2)

    def _project(
        self, layers: nn.ModuleDict, features: list[Features]
    ) -> Float[Tensor, "batch peers inner"]:
        projected = [layers[str(w)](f) for w, f in zip(self.widths, features, strict=True)]
        return torch.stack(projected, dim=1)


class _DividedGradient(torch.autograd.Function):
    """The identity, whose gradient is divided."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, divisor: int) -> Tensor:
        ctx.divisor = divisor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient / ctx.divisor, None


divided_gradient: Callable[[Tensor, int], Tensor] = _DividedGradient.apply
"""CL-ILR's intermediate-level representation sharing: forward the identity, backward g / n.

Song and Chai 2018, arXiv:1805.11761, section 3.3.
"""
