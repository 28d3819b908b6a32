"""A fusion design of your own: --set fusion.design=fusion:Maximum"""

import torch
from torch import Tensor, nn

from ffl_ray.models.fusion_designs import FusionShape


class Maximum(nn.Module):
    """Each feature is the largest that any branch has at that place."""

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.linear = nn.Linear(shape.width, shape.num_classes)

    def forward(self, maps: list[Tensor], trunk_features: Tensor) -> Tensor:
        largest = torch.stack(maps).amax(dim=0)
        logits: Tensor = self.linear(largest.mean(dim=(2, 3)))
        return logits
