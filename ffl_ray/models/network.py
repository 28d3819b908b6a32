"""The one network module: trunks, branches, classifiers and fusion, for any mix."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.averages import AveragedWeights
from ffl_ray.models.branch_modules import BranchMaps, BranchModules, Kept, without
from ffl_ray.models.fusion import Fusion
from ffl_ray.models.fusion_designs import Features, Map
from ffl_ray.models.helpers import Helper, HelperRule, helper_groups
from ffl_ray.models.method_modules import LogitGate, PeerAttention, divided_gradient
from ffl_ray.models.output import AVERAGED, MEAN_TEACHER, NetworkOutput, member_names
from ffl_ray.models.pooling import full_precision, pooled

__all__ = ["AVERAGED", "MEAN_TEACHER", "FusionNetwork", "NetworkOutput", "member_names"]


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
        mean_teachers: averages of the branches' weights over time, which teach, if there are any.
        needs: what a training pass keeps for the method's loss, by the names of `Kept`.
        average: the mean weights of all branches, of one structure, are a member and learn too:
            variable, and the branches by it, or constant; none: they are not.

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
        mean_teachers: AveragedWeights | None = None,
        needs: Collection[str] = (),
        average: Literal["variable", "constant"] | None = None,
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
        self.needs = needs
        self.helpers = nn.ModuleDict()
        self.helper_rules: dict[str, HelperRule] = {}
        self.readers: list[str] = []
        self.branch_streams: list[torch.cuda.Stream] = []
        self.mean_teachers = mean_teachers
        self.average_is_constant = average == "constant"
        self.averages: AveragedWeights | None = None
        if average is not None:
            count = self.num_branches
            self.averages = AveragedWeights(self.students[0], num_students=count)

    @property
    def num_branches(self) -> int:
        """Number of branches, which the formulas call N."""
        return len(self.branches)

    @property
    def peers(self) -> list[int]:
        """The branches that ensemble and fused classifier are made of: all but the leader."""
        return without(self.leader, range(self.num_branches))

    @property
    def branch_modules(self) -> BranchModules:
        """Modules of all branches; what else there is serves a method."""
        return BranchModules(self.trunks, self.branches, self.classifiers)

    @property
    def students(self) -> list[list[nn.Module]]:
        """Modules of each branch, in their order."""
        modules = self.branch_modules
        return [modules.of(index, self.trunk_of) for index in range(self.num_branches)]

    @property
    def member_names(self) -> list[str]:
        """The classifiers that this network holds, in the order of `NetworkOutput.members`."""
        names = member_names(self.num_branches, fused=self.fusion is not None)
        averaged = [] if self.averages is None else [AVERAGED]
        means = 0 if self.mean_teachers is None else self.num_branches
        return [*names, *averaged, *(f"{MEAN_TEACHER}{index}" for index in range(means))]

    @property
    def shares_trunk(self) -> bool:
        """Whether any leading stage is shared; a gate reads the branches' maps where none is."""
        return any(len(list(trunk.children())) for trunk in self.trunks.values())

    def add_helpers(self, helpers: Mapping[str, Helper]) -> None:
        """Have the method's loss train these modules beside the members."""
        self.helpers.update({name: helper.module for name, helper in helpers.items()})
        self.helper_rules |= {name: helper.rule for name, helper in helpers.items()}
        self.readers += [name for name, helper in helpers.items() if helper.reads_images]

    def forward(
        self,
        images: Float[Tensor, "*views batch channels height width"],
        skips: Collection[str] = (),
    ) -> NetworkOutput:
        """The output, with helpers; those that it skips are not called with the images."""
        output = self.output(images, self.needs if self.training else ())
        if not self.helpers:
            return output
        asked = [name for name in self.readers if self.training and name not in skips]
        read = {name: self.helpers[name](images) for name in asked}
        return output._replace(helpers=self.helpers, read=read)

    def output(self, images: Tensor, needs: Collection[str]) -> NetworkOutput:
        """Logits of images, and what else is needed of `Kept`."""
        modules = self.branch_modules
        ran = self._maps(modules, images, keeps_stages="stage_maps" in needs)
        branches = modules.classify(ran.maps)
        fused = fused_map = attention = None
        if self.fusion is not None:
            of_peers = without(self.leader, branches)
            logits = branches if self.leader is None else torch.stack(of_peers)
            fused, fused_map = self._fuse(self._of_peers(ran), logits, "fused_map" in needs)
        if self.attention is not None and self.training:
            with full_precision(images):
                attention = self.attention([pooled(x) for x in without(self.leader, ran.maps)])
        features = [pooled(x) for x in ran.maps] if "pooled" in needs else None
        kept, means = Kept(ran.stages, features, fused_map), self._taught_by_means(images)
        return NetworkOutput(
            branches, fused, attention, means, self.leader, kept, averaged=self._averaged(images)
        )

    def member(
        self, name: str, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits of one member, computed by the modules that it needs and no other."""
        if name.startswith(("branch", MEAN_TEACHER, AVERAGED)):
            trunk, branch, classifier = self.member_modules(name)
            classified: Tensor = classifier(pooled(branch(trunk(images))))
            return classified
        modules = self.branch_modules
        ran = self._maps(modules, images, skip=self.leader)
        if name == "fused" and not self._head().reads_logits:
            return self._fuse(ran, None)[0]
        kept = nn.ModuleList(without(self.leader, self.classifiers))
        logits = modules._replace(classifiers=kept).classify(ran.maps)
        return logits.mean(dim=0) if name == "ensemble" else self._fuse(ran, logits)[0]

    def fusion_inputs(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> tuple[list[Map], Features]:
        """Maps of the branches and pooled features of the trunks, which the fusion takes."""
        ran = self._maps(self.branch_modules, images, skip=self.leader)
        return ran.maps, self._trunk_features(ran)

    def member_modules(self, name: str) -> list[nn.Module]:
        """Modules that a member keeps when it is deployed alone; a branch's in their order."""
        if name.startswith("branch"):
            return self.branch_modules.of(int(name.removeprefix("branch")), self.trunk_of)
        if name == AVERAGED:
            return list(self._parts_of(self.averages))
        if name.startswith(MEAN_TEACHER):
            return self._averages().of(int(name.removeprefix(MEAN_TEACHER)), self.trunk_of)
        of_peers = [self.member_modules(f"branch{index}") for index in self.peers]
        if name == "ensemble":
            return [module for modules in of_peers for module in modules]
        head = self._head()
        read = 3 if head.reads_logits else 2  # classifiers come last
        return [*(module for modules in of_peers for module in modules[:read]), head]

    def parameter_groups(
        self, *, weight_decay: float, fusion_weight_decay: float
    ) -> list[dict[str, object]]:
        """Trained parameters by weight decay: the fusion module's may be apart, and helpers are."""
        fusion = self.fusion if self.fusion_decays_apart else None
        apart = [] if fusion is None else list(fusion.parameters())
        ruled = {id(parameter) for parameter in (*apart, *self.helpers.parameters())}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in ruled]
        groups: list[dict[str, object]] = [{"params": others, "weight_decay": weight_decay}]
        if apart:
            groups.append({"params": apart, "weight_decay": fusion_weight_decay})
        return groups + helper_groups(
            self.helpers,
            self.helper_rules,
            weight_decay=weight_decay,
            fusion_weight_decay=fusion_weight_decay,
        )

    def plan(self, steps: int) -> None:
        """Have what follows the length of the training know it."""
        if self.mean_teachers is not None:
            self.mean_teachers.plan(steps)

    def after_step(self) -> None:
        """What follows a step of the optimiser: averaged weights move on."""
        if self.mean_teachers is not None:
            self.mean_teachers.follow(self.branch_modules)

    def _maps(
        self,
        modules: BranchModules,
        images: Tensor,
        *,
        skip: int | None = None,
        keeps_stages: bool = False,
    ) -> BranchMaps:
        """Maps of images.

        Args:
            skip: a branch that is not needed.
        """
        led = [(index, key) for index, key in enumerate(self.trunk_of) if index != skip]
        return modules.maps(images, led, self._base, self.branch_streams, keeps_stages=keeps_stages)

    def _of_peers(self, ran: BranchMaps) -> BranchMaps:
        """What the fusion takes of a pass through all branches."""
        if self.leader is None:
            return ran
        keys = dict.fromkeys(without(self.leader, self.trunk_of))
        return BranchMaps({key: ran.bases[key] for key in keys}, without(self.leader, ran.maps))

    def _base(self, name: str, base: Tensor) -> Tensor:
        count = self.trunk_of.count(name)
        return divided_gradient(base, count) if self.divides_gradient and count > 1 else base

    def _trunk_features(self, ran: BranchMaps) -> Tensor:
        features = list(ran.bases.values()) if self.shares_trunk else ran.maps
        return torch.cat([pooled(x) for x in features], dim=1)

    def _head(self) -> Fusion | LogitGate:
        if self.fusion is None:
            raise ValueError("a network without fusion has no member fused")
        return self.fusion

    def _fuse(
        self, ran: BranchMaps, logits: Tensor | None, keeps_map: bool = False
    ) -> tuple[Tensor, Map | None]:
        """The fused logits and, where it is kept, the map that they are pooled from."""
        maps, features = ran.maps, self._trunk_features(ran)
        if self.detach_fusion:
            maps, features = [x.detach() for x in maps], features.detach()
            logits = None if logits is None else logits.detach()
        head = self._head()
        if not keeps_map:
            return head(maps, features, logits), None
        assert isinstance(head, Fusion), "a gate over logits has no map"
        fused_map = head.fused_map(maps, features)
        return head.classify(fused_map), fused_map

    def _averages(self) -> BranchModules:
        return BranchModules(*self._parts_of(self.mean_teachers))

    def _parts_of(self, averages: AveragedWeights | None) -> nn.ModuleList:
        if averages is None:
            raise ValueError("a network without averaged weights has no member of them")
        return averages.parts

    def _averaged(self, images: Tensor) -> Tensor | None:
        """Logits of the branches' mean weights, where they are a member: of the last view."""
        if self.averages is None:
            return None
        view = images[-1] if images.dim() > 4 else images
        return self.averages.logits(view, self.students, constant=self.average_is_constant)

    @torch.no_grad()
    def _taught_by_means(self, images: Tensor) -> Tensor | None:
        """Logits of the branches with averaged weights, where there are any."""
        if self.mean_teachers is None:
            return None
        averages = self._averages()
        return averages.classify(self._maps(averages, images).maps)
