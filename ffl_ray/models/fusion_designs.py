"""Fusion designs: modules that merge the branches' feature maps into one classifier.

A design takes maps of one shape (`Fusion` sees to that) and the pooled features of the trunks.
In each docstring stand its source, its parameters and its multiply-accumulates for one image,
as expressions of n branches, maps of C channels and P pixels, D trunk features and K classes;
tests evaluate those very expressions. MACs are counted as in `models/cost.py`: convolutions and
matrix products. docs/networks.md shows them all for one size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.pooling import full_precision, pooled

Map = Float[Tensor, "batch width height wide"]
Features = Float[Tensor, "batch features"]
Logits = Float[Tensor, "batch classes"]
BranchLogits = Float[Tensor, "branches batch classes"]


class FusionShape(NamedTuple):
    """The sizes that a fusion design is built for."""

    num_branches: int
    width: int
    trunk_width: int
    num_classes: int


class _PooledClassifier(nn.Module):
    """Global average pooling, then a linear layer."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, num_classes)

    def forward(self, x: Map) -> Logits:
        with full_precision(x):
            logits: Tensor = self.linear(pooled(x))
        return logits


class ConcatDepthwise(nn.Module):
    """The paper's: concatenation, depthwise 3x3, pointwise 1x1; 16,228 for n=2, C=64, K=100.

    Source: Kim et al. 2020, arXiv:1904.09058, section III.
    Parameters: 9*n*C + 2*n*C + n*C*C + 2*C + C*K + K.
    MACs: 9*n*C*P + n*C*C*P + C*K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        joint = shape.num_branches * shape.width
        self.depthwise = nn.Conv2d(joint, joint, 3, padding=1, groups=joint, bias=False)
        self.bn1 = nn.BatchNorm2d(joint)
        self.pointwise = nn.Conv2d(joint, shape.width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(shape.width)
        self.relu = nn.ReLU(inplace=True)
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def fused_map(self, maps: list[Map], trunk_features: Features) -> Map:
        """The map that is pooled and classified."""
        x = self.relu(self.bn1(self.depthwise(torch.cat(maps, dim=1))))
        fused: Tensor = self.relu(self.bn2(self.pointwise(x)))
        return fused

    def forward(self, maps: list[Map], trunk_features: Features) -> Logits:
        logits: Tensor = self.classifier(self.fused_map(maps, trunk_features))
        return logits


class ConcatPointwise(nn.Module):
    """Concatenation and a plain 1x1 convolution: the paper's without its depthwise part.

    Source: an ablation of Kim et al. 2020, arXiv:1904.09058, section III.
    Parameters: n*C*C + 2*C + C*K + K.
    MACs: n*C*C*P + C*K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        joint = shape.num_branches * shape.width
        self.pointwise = nn.Conv2d(joint, shape.width, 1, bias=False)
        self.bn = nn.BatchNorm2d(shape.width)
        self.relu = nn.ReLU(inplace=True)
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def fused_map(self, maps: list[Map], trunk_features: Features) -> Map:
        """The map that is pooled and classified."""
        fused: Tensor = self.relu(self.bn(self.pointwise(torch.cat(maps, dim=1))))
        return fused

    def forward(self, maps: list[Map], trunk_features: Features) -> Logits:
        logits: Tensor = self.classifier(self.fused_map(maps, trunk_features))
        return logits


class Sum(nn.Module):
    """Element-wise sum of the maps.

    Source: DualNet, Hou et al., ICCV 2017.
    Parameters: C*K + K.
    MACs: C*K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def fused_map(self, maps: list[Map], trunk_features: Features) -> Map:
        """The map that is pooled and classified."""
        return torch.stack(maps).sum(dim=0)

    def forward(self, maps: list[Map], trunk_features: Features) -> Logits:
        logits: Tensor = self.classifier(self.fused_map(maps, trunk_features))
        return logits


class Mean(nn.Module):
    """Element-wise mean of the maps: `sum` at a scale that does not grow with n.

    Both can learn the same functions; its logits and their gradients start at an n-th of the sum's.

    Source: the sum of DualNet, Hou et al., ICCV 2017, divided by n.
    Parameters: C*K + K.
    MACs: C*K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def fused_map(self, maps: list[Map], trunk_features: Features) -> Map:
        """The map that is pooled and classified."""
        return torch.stack(maps).mean(dim=0)

    def forward(self, maps: list[Map], trunk_features: Features) -> Logits:
        logits: Tensor = self.classifier(self.fused_map(maps, trunk_features))
        return logits


class Gated(nn.Module):
    """Sum of the maps weighted by a softmax gate that reads the trunks' pooled features.

    The gate of ONE, here over feature maps instead of logits.

    Source: ONE, Lan et al. 2018, arXiv:1806.04606, section 3.
    Parameters: D*n + n + C*K + K.
    MACs: D*n + n*C*P + C*K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.trunk_width, shape.num_branches)
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def fused_map(self, maps: list[Map], trunk_features: Features) -> Map:
        """The map that is pooled and classified."""
        shares = self.gate(trunk_features).softmax(dim=1)
        mixed = torch.einsum("nbchw,bn->bchw", torch.stack(maps), shares)
        return mixed

    def forward(self, maps: list[Map], trunk_features: Features) -> Logits:
        logits: Tensor = self.classifier(self.fused_map(maps, trunk_features))
        return logits


class Attention(nn.Module):
    """Self-attention over the branches, each branch's pooled map being one token.

    With token t_a = mean of map a over its pixels, and d = max(1, C // 8) as in OKDDip:
    A = softmax over b of (Q t_a . K t_b / sqrt(d)), n x n; mixed map m_a = sum_b A_ab map_b; the
    fused map is the mean of the m_a, pooled and classified. Mixing, averaging and pooling are
    linear in the maps, so it is computed on the tokens: sum_b (mean_a A_ab) t_b. No parameter
    belongs to a branch, so their order changes nothing. OKDDip mixes logits, keeps one mix per
    peer and does not scale; the scale keeps the softmax from saturating on wide maps.

    Source: OKDDip, Chen et al. 2020, arXiv:1912.00350; the scale of Vaswani et al. 2017,
        arXiv:1706.03762, section 3.2.1.
    Parameters: 2*C*max(1, C//8) + C*K + K.
    MACs: (2*n*C + n*n)*max(1, C//8) + n*C + C*K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.head_width = max(1, shape.width // 8)
        self.query = nn.Linear(shape.width, self.head_width, bias=False)
        self.key = nn.Linear(shape.width, self.head_width, bias=False)
        self.classifier = nn.Linear(shape.width, shape.num_classes)

    def forward(self, maps: list[Map], trunk_features: Features) -> Logits:
        with full_precision(maps[0]):
            tokens = torch.stack([pooled(x) for x in maps], dim=1)
            scores = self.query(tokens) @ self.key(tokens).transpose(1, 2)
            shares = (scores / math.sqrt(self.head_width)).softmax(dim=2).mean(dim=1)
            mixed = torch.einsum("bn,bnc->bc", shares, tokens)
            logits: Tensor = self.classifier(mixed)
        return logits


class SqueezeExcitation(nn.Module):
    """Concatenation, a squeeze-and-excitation gate over the joint channels, then a 1x1.

    The gate: global average pooling, linear to h = max(4, n*C // 16), ReLU, linear back, sigmoid,
    one factor per joint channel. The reduction of 16 and the missing biases are theirs; at least 4
    hidden units, since a lone one that ReLU turns off would end the gate's training. The 1x1
    convolution to C channels, batch norm and ReLU are those of `concat_pointwise`. The scaling,
    n*C*P products, is element-wise and not counted.

    Source: Hu et al. 2018, arXiv:1709.01507, section 3.
    Parameters: 2*n*C*max(4, n*C//16) + n*C*C + 2*C + C*K + K.
    MACs: 2*n*C*max(4, n*C//16) + n*C*C*P + C*K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        joint = shape.num_branches * shape.width
        hidden = max(4, joint // 16)
        self.squeeze = nn.Linear(joint, hidden, bias=False)
        self.excite = nn.Linear(hidden, joint, bias=False)
        self.pointwise = nn.Conv2d(joint, shape.width, 1, bias=False)
        self.bn = nn.BatchNorm2d(shape.width)
        self.relu = nn.ReLU(inplace=True)
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def fused_map(self, maps: list[Map], trunk_features: Features) -> Map:
        """The map that is pooled and classified."""
        joint = torch.cat(maps, dim=1)
        factors = self.excite(self.relu(self.squeeze(joint.mean(dim=(2, 3))))).sigmoid()
        fused: Tensor = self.relu(self.bn(self.pointwise(joint * factors[:, :, None, None])))
        return fused

    def forward(self, maps: list[Map], trunk_features: Features) -> Logits:
        logits: Tensor = self.classifier(self.fused_map(maps, trunk_features))
        return logits


class PooledLinear(nn.Module):
    """One linear layer on the concatenation of the pooled maps: PCL's ensemble teacher.

    Source: PCL, Wu and Gong 2021, arXiv:2006.04147.
    Parameters: n*C*K + K.
    MACs: n*C*K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.linear = nn.Linear(shape.num_branches * shape.width, shape.num_classes)

    def forward(self, maps: list[Map], trunk_features: Features) -> Logits:
        with full_precision(maps[0]):
            logits: Tensor = self.linear(torch.cat([pooled(x) for x in maps], dim=1))
        return logits


class Pairwise(nn.Module):
    """Hierarchical fusion of pairs: what is fused so far with the next branch, n - 1 times.

    f_1 = map_1 and f_i = ReLU(BN(conv1x1([f_(i-1), map_i]))); f_n is pooled and classified. AHBF
    weighs two logits at each step and has no ReLU there; here the maps alone go on, and ReLU
    keeps the steps from collapsing into one 1x1 convolution. The last branch passes one step,
    the first two all of them; with n = 2 it is `concat_pointwise`.

    Source: AHBF-OKD, Gong et al., AAAI 2023, its fusion of maps.
    Parameters: (n-1)*(2*C*C + 2*C) + C*K + K.
    MACs: (n-1)*2*C*C*P + C*K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(2 * shape.width, shape.width, 1, bias=False),
                nn.BatchNorm2d(shape.width),
                nn.ReLU(inplace=True),
            )
            for _ in range(shape.num_branches - 1)
        )
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def fused_map(self, maps: list[Map], trunk_features: Features) -> Map:
        """The map that is pooled and classified."""
        fused = maps[0]
        for step, x in zip(self.steps, maps[1:], strict=True):
            fused = step(torch.cat([fused, x], dim=1))
        return fused

    def forward(self, maps: list[Map], trunk_features: Features) -> Logits:
        logits: Tensor = self.classifier(self.fused_map(maps, trunk_features))
        return logits
