"""Trunks, branches, classifiers and fusion as one module, for any mix of branches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.config import FusionConfig, ModelConfig
from ffl_ray.models.backbone import build_backbone
from ffl_ray.models.fusion import Fusion, MapShape, build_fusion
from ffl_ray.models.fusion_designs import Features, Map
from ffl_ray.models.init import init_weights
from ffl_ray.models.table import check_images


class NetworkOutput(NamedTuple):
    """Logits of one forward pass."""

    branches: Float[Tensor, "branches batch classes"]
    fused: Float[Tensor, "batch classes"]

    @property
    def ensemble(self) -> Float[Tensor, "batch classes"]:
        """Mean of the branches' logits (not of their probabilities)."""
        return self.branches.mean(dim=0)

    @property
    def members(self) -> Float[Tensor, "members batch classes"]:
        """Logits of every member, in the order of `member_names`."""
        return torch.cat([self.branches, self.ensemble[None], self.fused[None]])


def member_names(num_branches: int) -> list[str]:
    """branch0, branch1, ..., ensemble, fused: the N + 2 classifiers that one training yields."""
    return [*(f"branch{index}" for index in range(num_branches)), "ensemble", "fused"]


class FusionNetwork(nn.Module):
    """N parallel branches on shared or separate trunks, and the module that fuses them.

    Args:
        trunks: by `trunk_key` of the backbone; branches of one backbone share one.
        trunk_of: the key of each branch's trunk.
        branches: each from its trunk's output to a feature map.
        classifiers: a linear layer per branch, on its pooled map.
        detach_fusion: let no gradient of the fused logits reach branches and trunks.
    """

    def __init__(
        self,
        trunks: dict[str, nn.Module],
        trunk_of: tuple[str, ...],
        branches: list[nn.Module],
        classifiers: list[nn.Module],
        fusion: Fusion,
        *,
        detach_fusion: bool,
    ) -> None:
        super().__init__()
        self.trunks = nn.ModuleDict(trunks)
        self.trunk_of = trunk_of
        self.branches = nn.ModuleList(branches)
        self.classifiers = nn.ModuleList(classifiers)
        self.fusion = fusion
        self.detach_fusion = detach_fusion

    @property
    def num_branches(self) -> int:
        """N."""
        return len(self.branches)

    @property
    def shares_trunk(self) -> bool:
        """Whether any leading stage is shared; a gate reads the branches' maps where none is."""
        return any(len(list(trunk.children())) for trunk in self.trunks.values())

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> NetworkOutput:
        bases, maps = self._features(images)
        branches = torch.stack([self._classify(i, x) for i, x in enumerate(maps)])
        return NetworkOutput(branches, self._fuse(bases, maps))

    def member(
        self, name: str, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits of one member, computed from the parts that it needs and no other."""
        if name.startswith("branch"):
            index = int(name.removeprefix("branch"))
            trunk = self.trunks[self.trunk_of[index]]
            return self._classify(index, self.branches[index](trunk(images)))
        bases, maps = self._features(images)
        if name == "fused":
            return self._fuse(bases, maps)
        return torch.stack([self._classify(i, x) for i, x in enumerate(maps)]).mean(dim=0)

    def fusion_inputs(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> tuple[list[Map], Features]:
        """What the fusion takes: the branches' maps, and the trunks' pooled features."""
        bases, maps = self._features(images)
        return maps, self._trunk_features(bases, maps)

    def member_modules(self, name: str) -> list[nn.Module]:
        """The parts that a member keeps when it is deployed alone."""
        if name.startswith("branch"):
            index = int(name.removeprefix("branch"))
            trunk = self.trunks[self.trunk_of[index]]
            return [trunk, self.branches[index], self.classifiers[index]]
        head = self.fusion if name == "fused" else self.classifiers
        return [self.trunks, self.branches, head]

    def parameter_groups(
        self, *, weight_decay: float, fusion_weight_decay: float
    ) -> list[dict[str, object]]:
        """The fusion module's parameters apart from all others, each with its weight decay."""
        fusion = list(self.fusion.parameters())
        fused = {id(parameter) for parameter in fusion}
        others = [p for p in self.parameters() if id(p) not in fused]
        return [
            {"params": others, "weight_decay": weight_decay},
            {"params": fusion, "weight_decay": fusion_weight_decay},
        ]

    def _features(self, images: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
        bases = {name: trunk(images) for name, trunk in self.trunks.items()}
        maps = [
            branch(bases[name]) for name, branch in zip(self.trunk_of, self.branches, strict=True)
        ]
        return bases, maps

    def _classify(self, index: int, feature_map: Tensor) -> Tensor:
        logits: Tensor = self.classifiers[index](feature_map.mean(dim=(2, 3)))
        return logits

    def _trunk_features(self, bases: dict[str, Tensor], maps: list[Tensor]) -> Tensor:
        features = list(bases.values()) if self.shares_trunk else maps
        return torch.cat([x.mean(dim=(2, 3)) for x in features], dim=1)

    def _fuse(self, bases: dict[str, Tensor], maps: list[Tensor]) -> Tensor:
        pooled = self._trunk_features(bases, maps)
        if self.detach_fusion:
            maps, pooled = [x.detach() for x in maps], pooled.detach()
        logits: Tensor = self.fusion(maps, pooled)
        return logits


def build_network(
    model: ModelConfig,
    fusion: FusionConfig,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    seed: int,
) -> FusionNetwork:
    """A freshly initialised network; each part has a random stream of its own.

    A part's initial weights depend on the seed and its place alone, so branch 0 starts the same
    whatever stands beside it.

    Args:
        image_shape: channels, height and width.

    Raises:
        SettingError: a backbone is unknown, or can't take such images.
    """
    for name in dict.fromkeys(model.mix):
        check_images(name, image_shape, pretrained=model.pretrained)
    trunks: dict[str, nn.Module] = {}
    branches: list[nn.Module] = []
    classifiers: list[nn.Module] = []
    shapes: list[MapShape] = []
    for index, name in enumerate(model.mix):
        with seeded(seed, index):
            backbone = build_backbone(name, image_shape[0], pretrained=model.pretrained)
            lead, rest = backbone.split(model.trunk_stages)
            trunk = trunks.setdefault(trunk_key(name), lead)
            shapes.append(_map_shape(trunk, rest, image_shape))
            branches.append(rest)
            classifiers.append(nn.Linear(shapes[-1].channels, num_classes))
    if model.trunk_stages:
        leads = [_map_shape(trunk, nn.Identity(), image_shape) for trunk in trunks.values()]
    else:
        leads = shapes
    trunk_width = sum(shape.channels for shape in leads)
    with seeded(seed, -1):
        fused = build_fusion(fusion.design, shapes, trunk_width, num_classes)
        init_weights(fused)
    trunk_of = tuple(trunk_key(name) for name in model.mix)
    return FusionNetwork(
        trunks, trunk_of, branches, classifiers, fused, detach_fusion=fusion.detach
    )


def trunk_key(name: str) -> str:
    """A backbone's name as the key of a module: no dot may stand in one, and no name has a /."""
    return name.replace(".", "/")


@contextmanager
def seeded(seed: int, part: int) -> Iterator[None]:
    """Torch's global CPU generator at a state of its own, put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed * 1_009 + part + 1)
        yield


def _map_shape(trunk: nn.Module, rest: nn.Module, image_shape: tuple[int, int, int]) -> MapShape:
    """Shape of the map that one image gives, by running it without touching batch norm."""
    parts = nn.Sequential(trunk, rest)
    modes = [(module, module.training) for module in parts.modules()]
    parts.eval()
    device = next(parts.parameters(), torch.empty(0)).device
    with torch.no_grad():
        x: Tensor = parts(torch.zeros(1, *image_shape, device=device))
    for module, mode in modes:
        module.training = mode
    return MapShape(*x.shape[1:])
