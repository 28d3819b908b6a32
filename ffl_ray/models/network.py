"""Trunks, branches, classifiers and fusion as one module, for any mix of branches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.config.methods import method_of, trunk_stages_of
from ffl_ray.config.settings import DistillConfig, FusionConfig, ModelConfig
from ffl_ray.config.user_code import is_own
from ffl_ray.models.backbone import build_backbone
from ffl_ray.models.fusion import Fusion, MapShape, build_fusion
from ffl_ray.models.fusion_designs import Features, Map
from ffl_ray.models.init import init_weights
from ffl_ray.models.method_modules import LogitGate, MeanTeachers, PeerAttention, divided_gradient
from ffl_ray.models.registry import check_images


class NetworkOutput(NamedTuple):
    """Logits of one forward pass, and what else a method's loss is made of.

    Attributes:
        branches: of each branch.
        fused: of the fused classifier, where the method has one.
        attention: shares of the peers' logits in each peer's target (OKDDip); the peers are the
            branches from the second on.
        mean_teachers: logits of the branches with averaged weights (PCL), in training alone.
    """

    branches: Float[Tensor, "branches batch classes"]
    fused: Float[Tensor, "batch classes"] | None = None
    attention: Float[Tensor, "batch peers peers"] | None = None
    mean_teachers: Float[Tensor, "branches batch classes"] | None = None

    @property
    def ensemble(self) -> Float[Tensor, "batch classes"]:
        """Mean of the branches' logits (not of their probabilities)."""
        return self.branches.mean(dim=0)

    @property
    def members(self) -> Float[Tensor, "members batch classes"]:
        """Logits of every member, in the order of `member_names`."""
        fused = [] if self.fused is None else [self.fused[None]]
        return torch.cat([self.branches, self.ensemble[None], *fused])

    def at_least_float32(self) -> NetworkOutput:
        """The same in float32 where autocast made bfloat16 of it; what is finer stays."""
        kind = torch.promote_types(self.branches.dtype, torch.float32)
        rest = (None if x is None else x.to(kind) for x in self[1:])
        return NetworkOutput(self.branches.to(kind), *rest)


def member_names(num_branches: int, *, fused: bool = True) -> list[str]:
    """branch0, branch1, ..., ensemble and, where there is one, fused: what one training yields."""
    return [*(f"branch{index}" for index in range(num_branches)), "ensemble", *["fused"] * fused]


class FusionNetwork(nn.Module):
    """N parallel branches on shared or separate trunks, and what merges them, if anything does.

    Images have a dimension more, in front, when every branch is given a view of its own.

    Args:
        trunks: by `trunk_key` of the backbone; branches of one backbone share one.
        trunk_of: the key of each branch's trunk.
        branches: each from its trunk's output to a feature map.
        classifiers: a linear layer per branch, on its pooled map.
        fusion: the fused classifier's module, if there is such a member.
        detach_fusion: let no gradient of the fused logits reach branches and trunks.
        fusion_decays_apart: the fusion module has a weight decay of its own.
        attention: between the branches from the second on, if the method has one.
        divides_gradient: a trunk's gradient is divided by the branches on it.
        ema_decay: of averaged weights that teach; none: there are no such teachers.
    """

    def __init__(
        self,
        trunks: dict[str, nn.Module],
        trunk_of: tuple[str, ...],
        branches: list[nn.Module],
        classifiers: list[nn.Module],
        fusion: Fusion | LogitGate | None,
        *,
        detach_fusion: bool = False,
        fusion_decays_apart: bool = True,
        attention: PeerAttention | None = None,
        divides_gradient: bool = False,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__()
        self.trunks = nn.ModuleDict(trunks)
        self.trunk_of = trunk_of
        self.branches = nn.ModuleList(branches)
        self.classifiers = nn.ModuleList(classifiers)
        self.fusion = fusion
        self.detach_fusion = detach_fusion
        self.fusion_decays_apart = fusion_decays_apart
        self.attention = attention
        self.divides_gradient = divides_gradient
        self.mean_teachers: MeanTeachers | None = None
        if ema_decay is not None:
            self.mean_teachers = MeanTeachers(self._averaged, ema_decay)

    @property
    def num_branches(self) -> int:
        """N."""
        return len(self.branches)

    @property
    def member_names(self) -> list[str]:
        """The classifiers that this network holds, in the order of `NetworkOutput.members`."""
        return member_names(self.num_branches, fused=self.fusion is not None)

    @property
    def shares_trunk(self) -> bool:
        """Whether any leading stage is shared; a gate reads the branches' maps where none is."""
        return any(len(list(trunk.children())) for trunk in self.trunks.values())

    def forward(self, images: Float[Tensor, "*views batch channels height width"]) -> NetworkOutput:
        bases, maps = self._features(images)
        branches = self._classified(maps)
        fused = None if self.fusion is None else self._fuse(bases, maps, branches)
        attention = None
        if self.attention is not None and self.training:
            attention = self.attention([x.mean(dim=(2, 3)) for x in maps[1:]])
        return NetworkOutput(branches, fused, attention, self._taught_by_means(images))

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
            gated = isinstance(self.fusion, LogitGate)
            return self._fuse(bases, maps, self._classified(maps) if gated else None)
        return self._classified(maps).mean(dim=0)

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
        parts: list[nn.Module] = [self.trunks, self.branches]
        if name == "ensemble":
            return [*parts, self.classifiers]
        if self.fusion is None:
            raise ValueError(f"a network without fusion has no member {name}")
        gated = isinstance(self.fusion, LogitGate)
        return [*parts, *[self.classifiers] * gated, self.fusion]

    def parameter_groups(
        self, *, weight_decay: float, fusion_weight_decay: float
    ) -> list[dict[str, object]]:
        """What is trained, each group with its weight decay: the fusion module's may be apart."""
        apart = self.fusion is not None and self.fusion_decays_apart
        fusion = list(self.fusion.parameters()) if self.fusion is not None and apart else []
        fused = {id(parameter) for parameter in fusion}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in fused]
        groups: list[dict[str, object]] = [{"params": others, "weight_decay": weight_decay}]
        if fusion:
            groups.append({"params": fusion, "weight_decay": fusion_weight_decay})
        return groups

    def after_step(self) -> None:
        """What follows a step of the optimiser: averaged weights move on."""
        if self.mean_teachers is not None:
            self.mean_teachers.update(self._averaged)

    @property
    def _averaged(self) -> list[nn.Module]:
        return [self.trunks, self.branches, self.classifiers]

    def _features(self, images: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
        bases: dict[str, Tensor] = {}
        maps = []
        own = images.dim() > 4
        for index, (name, branch) in enumerate(zip(self.trunk_of, self.branches, strict=True)):
            if own or name not in bases:
                base = self._base(name, images[index] if own else images)
                bases.setdefault(name, base)
            else:
                base = bases[name]
            maps.append(branch(base))
        return bases, maps

    def _base(self, name: str, images: Tensor) -> Tensor:
        base: Tensor = self.trunks[name](images)
        count = self.trunk_of.count(name)
        return divided_gradient(base, count) if self.divides_gradient and count > 1 else base

    def _classify(self, index: int, feature_map: Tensor) -> Tensor:
        logits: Tensor = self.classifiers[index](feature_map.mean(dim=(2, 3)))
        return logits

    def _classified(self, maps: list[Tensor]) -> Tensor:
        return torch.stack([self._classify(i, x) for i, x in enumerate(maps)])

    def _trunk_features(self, bases: dict[str, Tensor], maps: list[Tensor]) -> Tensor:
        features = list(bases.values()) if self.shares_trunk else maps
        return torch.cat([x.mean(dim=(2, 3)) for x in features], dim=1)

    def _fuse(self, bases: dict[str, Tensor], maps: list[Tensor], logits: Tensor | None) -> Tensor:
        pooled = self._trunk_features(bases, maps)
        if self.detach_fusion:
            maps, pooled = [x.detach() for x in maps], pooled.detach()
        if isinstance(self.fusion, LogitGate):
            assert logits is not None, "a gate weighs the branches' logits"
            fused: Tensor = self.fusion(logits.detach() if self.detach_fusion else logits, pooled)
        else:
            assert self.fusion is not None, "a network without fusion has no fused member"
            fused = self.fusion(maps, pooled)
        return fused

    @torch.no_grad()
    def _taught_by_means(self, images: Tensor) -> Tensor | None:
        """Logits of the branches with averaged weights, which serve nobody outside training."""
        if self.mean_teachers is None or not self.training:
            return None
        trunks, branches, classifiers = self.mean_teachers.parts
        own = images.dim() > 4
        bases: dict[str, Tensor] = {}
        logits = []
        for index, name in enumerate(self.trunk_of):
            if own or name not in bases:
                bases[name] = trunks[name](images[index] if own else images)  # type: ignore[index]
            feature_map: Tensor = branches[index](bases[name])  # type: ignore[index]
            logits.append(classifiers[index](feature_map.mean(dim=(2, 3))))  # type: ignore[index]
        return torch.stack(logits)


def build_network(
    model: ModelConfig,
    fusion: FusionConfig,
    distill: DistillConfig | None = None,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    seed: int,
) -> FusionNetwork:
    """A freshly initialised network; each part has a random stream of its own.

    A part's initial weights depend on the seed and its place alone, so branch 0 starts the same
    whatever stands beside it, and whatever the method is.

    Args:
        distill: the method, which decides what there is beside the branches; none: FFL's fusion.
        image_shape: channels, height and width.

    Raises:
        SettingError: a backbone is unknown, or can't take such images.
    """
    distill = distill or DistillConfig()
    method, trunk_stages = method_of(distill), trunk_stages_of(model, distill)
    for name in dict.fromkeys(model.mix):
        check_images(name, image_shape, pretrained=model.pretrained)
    trunks: dict[str, nn.Module] = {}
    branches: list[nn.Module] = []
    classifiers: list[nn.Module] = []
    shapes: list[MapShape] = []
    trunk_of = tuple(trunk_key(name) for name in model.mix)
    for index, (name, key) in enumerate(zip(model.mix, trunk_of, strict=True)):
        with seeded(seed, index):
            backbone = build_backbone(name, image_shape[0], pretrained=model.pretrained)
            lead, rest = backbone.split(trunk_stages)
            trunk = trunks.setdefault(key, lead)
            shapes.append(_map_shape(trunk, rest, image_shape))
            branches.append(rest)
            classifiers.append(nn.Linear(shapes[-1].channels, num_classes))
    if trunk_stages:
        leads = [_map_shape(trunk, nn.Identity(), image_shape) for trunk in trunks.values()]
    else:
        leads = shapes
    trunk_width = sum(shape.channels for shape in leads)
    with seeded(seed, -1):
        head: Fusion | LogitGate | None = None
        if method.head == "logit_gate":
            head = LogitGate(trunk_width, len(branches))
        elif method.head is not None:
            design = fusion.design if method.head == "fusion" else method.head
            head = build_fusion(design, shapes, trunk_width, num_classes)
        if head is not None:
            own = isinstance(head, Fusion) and method.head == "fusion" and is_own(fusion.design)
            init_weights(_projections(head) if own else head)
        widths = [shape.channels for shape in shapes[1:]]
        attention = PeerAttention(widths) if method.peer_attention else None
    return FusionNetwork(
        trunks,
        trunk_of,
        branches,
        classifiers,
        head,
        detach_fusion=fusion.detach,
        fusion_decays_apart=method.head == "fusion",
        attention=attention,
        divides_gradient=method.divided_gradient,
        ema_decay=distill.ema_decay if method.mean_teacher else None,
    )


def _projections(head: nn.Module) -> nn.Module:
    """What of a fusion module is not the user's own, whose initial weights are theirs."""
    return head.get_submodule("projections")


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
