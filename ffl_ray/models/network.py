"""The one network module: trunks, branches, classifiers and fusion, for any mix of branches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.averages import AveragedWeights
from ffl_ray.models.branch_streams import side_by_side
from ffl_ray.models.fusion import Fusion
from ffl_ray.models.fusion_designs import Features, Map
from ffl_ray.models.method_modules import LogitGate, PeerAttention, divided_gradient
from ffl_ray.models.pooling import full_precision, pooled

ItemT = TypeVar("ItemT")
MEAN_TEACHER = "mean_teacher"


class NetworkOutput(NamedTuple):
    """Logits of one forward pass, and what else a method's loss is made of.

    Attributes:
        branches: of each branch.
        fused: of the fused classifier, where the method has one.
        attention: shares of the peers' logits in each peer's target (OKDDip).
        mean_teachers: logits of the branches with averaged weights (PCL).
        leader: the branch that learns from the others, its peers, where the method has one.
    """

    branches: Float[Tensor, "branches batch classes"]
    fused: Float[Tensor, "batch classes"] | None = None
    attention: Float[Tensor, "batch peers peers"] | None = None
    mean_teachers: Float[Tensor, "branches batch classes"] | None = None
    leader: int | None = None

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
        fused = [] if self.fused is None else [self.fused[None]]
        means = [] if self.mean_teachers is None else [self.mean_teachers]
        return torch.cat([self.branches, self.ensemble[None], *fused, *means])

    def at_least_float32(self) -> NetworkOutput:
        """The same in float32 where autocast made bfloat16 of it; what is finer stays."""
        kind = torch.promote_types(self.branches.dtype, torch.float32)
        parts = (x.to(kind) if isinstance(x, Tensor) else x for x in self)
        return NetworkOutput._make(parts)


def without(index: int | None, items: Iterable[ItemT]) -> list[ItemT]:
    """All items but one."""
    return [item for place, item in enumerate(items) if place != index]


def member_names(num_branches: int, *, fused: bool = True) -> list[str]:
    """Names of all members: branch0, branch1, ..., ensemble and, where there is one, fused."""
    return [*(f"branch{index}" for index in range(num_branches)), "ensemble", *["fused"] * fused]


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
        attention: between the leader's peers, if the method has one.
        leader: the branch that learns from the others, if the method has one.
        divides_gradient: a trunk's gradient is divided by the branches on it.
        ema_span: of averaged weights that teach; none: there are no such teachers.

    Attributes:
        branch_streams: of the branches after the first; none: one branch after the other.
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
        leader: int | None = None,
        divides_gradient: bool = False,
        ema_span: float | None = None,
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
        self.leader = leader
        self.divides_gradient = divides_gradient
        self.branch_streams: list[torch.cuda.Stream] = []
        self.mean_teachers: AveragedWeights | None = None
        if ema_span is not None:
            self.mean_teachers = AveragedWeights(self.branch_modules, span=ema_span)

    @property
    def num_branches(self) -> int:
        """Number of branches, which the formulas call N."""
        return len(self.branches)

    @property
    def branch_modules(self) -> BranchModules:
        """Modules of all branches; what else there is serves a method."""
        return BranchModules(self.trunks, self.branches, self.classifiers)

    @property
    def member_names(self) -> list[str]:
        """The classifiers that this network holds, in the order of `NetworkOutput.members`."""
        names = member_names(self.num_branches, fused=self.fusion is not None)
        means = 0 if self.mean_teachers is None else self.num_branches
        return [*names, *(f"{MEAN_TEACHER}{index}" for index in range(means))]

    @property
    def shares_trunk(self) -> bool:
        """Whether any leading stage is shared; a gate reads the branches' maps where none is."""
        return any(len(list(trunk.children())) for trunk in self.trunks.values())

    def forward(self, images: Float[Tensor, "*views batch channels height width"]) -> NetworkOutput:
        modules = self.branch_modules
        bases, maps = self._maps(modules, images)
        branches = modules.classify(maps)
        fused = None if self.fusion is None else self._fuse(bases, maps, branches)
        attention = None
        if self.attention is not None and self.training:
            with full_precision(images):
                attention = self.attention([pooled(x) for x in without(self.leader, maps)])
        means = self._taught_by_means(images)
        return NetworkOutput(branches, fused, attention, means, self.leader)

    def member(
        self, name: str, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits of one member, computed by the modules that it needs and no other."""
        if name.startswith(("branch", MEAN_TEACHER)):
            trunk, branch, classifier = self.member_modules(name)
            classified: Tensor = classifier(pooled(branch(trunk(images))))
            return classified
        modules = self.branch_modules
        if name == "ensemble":
            kept = nn.ModuleList(without(self.leader, self.classifiers))
            maps = self._maps(modules, images, skip=self.leader)[1]
            return modules._replace(classifiers=kept).classify(maps).mean(dim=0)
        bases, maps = self._maps(modules, images)
        logits = modules.classify(maps) if self._head().reads_logits else None
        return self._fuse(bases, maps, logits)

    def fusion_inputs(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> tuple[list[Map], Features]:
        """Maps of the branches and pooled features of the trunks, which the fusion takes."""
        bases, maps = self._maps(self.branch_modules, images)
        return maps, self._trunk_features(bases, maps)

    def member_modules(self, name: str) -> list[nn.Module]:
        """Modules that a member keeps when it is deployed alone; a branch's in their order."""
        if name.startswith("branch"):
            return self.branch_modules.of(int(name.removeprefix("branch")), self.trunk_of)
        if name.startswith(MEAN_TEACHER):
            return self._averages().of(int(name.removeprefix(MEAN_TEACHER)), self.trunk_of)
        if name == "ensemble":
            peers = without(self.leader, range(self.num_branches))
            return [module for index in peers for module in self.member_modules(f"branch{index}")]
        head = self._head()
        classifiers = [self.classifiers] if head.reads_logits else []
        return [self.trunks, self.branches, *classifiers, head]

    def parameter_groups(
        self, *, weight_decay: float, fusion_weight_decay: float
    ) -> list[dict[str, object]]:
        """Trained parameters by weight decay: the fusion module's may be apart."""
        fusion = self.fusion if self.fusion_decays_apart else None
        apart = [] if fusion is None else list(fusion.parameters())
        fused = {id(parameter) for parameter in apart}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in fused]
        groups: list[dict[str, object]] = [{"params": others, "weight_decay": weight_decay}]
        if apart:
            groups.append({"params": apart, "weight_decay": fusion_weight_decay})
        return groups

    def plan(self, steps: int) -> None:
        """Have what follows the length of the training know it."""
        if self.mean_teachers is not None:
            self.mean_teachers.plan(steps)

    def after_step(self) -> None:
        """What follows a step of the optimiser: averaged weights move on."""
        if self.mean_teachers is not None:
            self.mean_teachers.follow(self.branch_modules)

    def _maps(
        self, modules: BranchModules, images: Tensor, skip: int | None = None
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Output of each trunk, of the first view that it is given, and map of each branch.

        Args:
            skip: a branch that is not needed.
        """
        bases: dict[str, Tensor] = {}
        inputs = []
        has_views = images.dim() > 4
        for index, name in enumerate(self.trunk_of):
            if index == skip:
                continue
            if has_views or name not in bases:
                view = images[index] if has_views else images
                base = self._base(name, modules.trunks[name](view))
                bases.setdefault(name, base)
            else:
                base = bases[name]
            inputs.append(base)
        streams = self.branch_streams[: len(inputs) - 1]
        return bases, side_by_side(without(skip, modules.branches), inputs, streams)

    def _base(self, name: str, base: Tensor) -> Tensor:
        count = self.trunk_of.count(name)
        return divided_gradient(base, count) if self.divides_gradient and count > 1 else base

    def _trunk_features(self, bases: dict[str, Tensor], maps: list[Tensor]) -> Tensor:
        features = list(bases.values()) if self.shares_trunk else maps
        return torch.cat([pooled(x) for x in features], dim=1)

    def _head(self) -> Fusion | LogitGate:
        if self.fusion is None:
            raise ValueError("a network without fusion has no member fused")
        return self.fusion

    def _fuse(self, bases: dict[str, Tensor], maps: list[Tensor], logits: Tensor | None) -> Tensor:
        features = self._trunk_features(bases, maps)
        if self.detach_fusion:
            maps, features = [x.detach() for x in maps], features.detach()
            logits = None if logits is None else logits.detach()
        fused: Tensor = self._head()(maps, features, logits)
        return fused

    def _averages(self) -> BranchModules:
        if self.mean_teachers is None:
            raise ValueError("a network without averaged weights has no mean teacher")
        return BranchModules(*self.mean_teachers.parts)

    @torch.no_grad()
    def _taught_by_means(self, images: Tensor) -> Tensor | None:
        """Logits of the branches with averaged weights, where there are any."""
        if self.mean_teachers is None:
            return None
        averages = self._averages()
        return averages.classify(self._maps(averages, images)[1])
