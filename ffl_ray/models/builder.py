"""The builder of networks: settings in, a freshly initialised `FusionNetwork` out."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ffl_ray.config.methods import Method, leader_of, method_of
from ffl_ray.config.settings import (
    DESIGNS,
    DistillConfig,
    FusionConfig,
    ResolvedModel,
    branch_seed,
)
from ffl_ray.config.user_code import is_own
from ffl_ray.config.values import split_deeper
from ffl_ray.errors import SettingError
from ffl_ray.models.averages import AveragedWeights
from ffl_ray.models.backbone import Backbone
from ffl_ray.models.branch_modules import BranchModules, without
from ffl_ray.models.fusion import Fusion, MapShape, build_fusion, merges_maps
from ffl_ray.models.init import init_weights
from ffl_ray.models.method_modules import LogitGate, PeerAttention
from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.output import LaterStages
from ffl_ray.models.registry import backbone_row, check_images, is_bundled

ImageShape = tuple[int, int, int]
FFL = DistillConfig()


def build_network(
    model: ResolvedModel,
    fusion: FusionConfig,
    distill: DistillConfig = FFL,
    *,
    image_shape: ImageShape,
    num_classes: int,
    seed: int,
) -> FusionNetwork:
    """A freshly initialised network; each of its modules has a random stream of its own.

    Initial weights depend on the seed and the module's place alone, so branch 0 starts the same
    whatever stands beside it and the method is; with batches of their own, all start as alone.

    Args:
        distill: the method, which decides what there is beside the branches.
        image_shape: channels, height and width.

    Raises:
        SettingError: a backbone is unknown or can't take such images, or a needed map is missing.
    """
    method, leader = method_of(distill), leader_of(model, distill)
    built = _branches(model, image_shape, num_classes, _branch_seeds(model, method, distill, seed))
    peers = without(leader, built.maps)
    with seeded(seed, -1):
        width = built.trunk_width(image_shape, without(leader, built.trunk_of), peers)
        head = _head(method, fusion.design, peers, width, num_classes)
        attention = PeerAttention([x.channels for x in peers]) if method.peer_attention else None
    return FusionNetwork(
        *built[:4],
        head,
        detach_fusion=fusion.detach or method.detached,
        fusion_decays_apart=method.head == "fusion",
        attention=attention,
        leader=leader,
        divides_gradient=method.divided_gradient,
        mean_teachers=_mean_teachers(built, model, distill, image_shape, num_classes, seed),
        needs=method.needs,
        average=_average(method, distill),
    )


def build_backbone(name: str, in_channels: int, *, pretrained: bool = False) -> Backbone:
    """A freshly initialised backbone by its name.

    Networks of a library and the user's own keep the initial weights they give themselves.

    Args:
        pretrained: with published weights, for a network of a library.
    """
    row = backbone_row(name)
    file, _, function = row.function.partition(":")
    build = getattr(importlib.import_module(file), function)
    weights = {"pretrained": True} if pretrained else {}
    backbone: Backbone = build(in_channels, **row.arguments, **weights)
    if is_bundled(name):
        for module in (backbone.stem, *backbone.stages):
            init_weights(module)
    return backbone


def later_stages(model: ResolvedModel, in_channels: int) -> LaterStages:
    """What makes the stages of a branch after so many anew, as `NetworkOutput` has it.

    Initial weights are those of a backbone that is trained from the start, not published ones.
    """

    def made(branch: int, stage: int) -> nn.Sequential:
        return nn.Sequential(*build_backbone(model.mix[branch], in_channels).stages[stage:])

    return made


def trunk_key(name: str) -> str:
    """The key of the trunk that a backbone leads with, also where its last stage is deeper.

    No dot may stand in one, and no name has a /.
    """
    return split_deeper(name)[0].replace(".", "/")


@contextmanager
def seeded(seed: int, place: int) -> Iterator[None]:
    """Torch's global CPU generator at the state of a module's place, put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed * 1_009 + place + 1)  # and no GPU's
        yield


class _Branches(NamedTuple):
    """All branches of a mix: trunks by key, each one's key, private stages, classifiers, maps."""

    trunks: dict[str, nn.Module]
    trunk_of: tuple[str, ...]
    branches: list[nn.Module]
    classifiers: list[nn.Module]
    maps: list[MapShape]

    @property
    def modules(self) -> BranchModules:
        """All of them, as a network holds them."""
        branches, classifiers = nn.ModuleList(self.branches), nn.ModuleList(self.classifiers)
        return BranchModules(nn.ModuleDict(self.trunks), branches, classifiers)

    def trunk_width(
        self, image_shape: ImageShape, keys: Iterable[str], maps: Iterable[MapShape]
    ) -> int:
        """Channels of these trunks' outputs; of the branches' maps where nothing is shared."""
        if not any(len(list(trunk.children())) for trunk in self.trunks.values()):
            return sum(shape.channels for shape in maps)
        trunks = [self.trunks[key] for key in dict.fromkeys(keys)]
        return sum(_map_shape(trunk, image_shape).channels for trunk in trunks)


def _branch_seeds(
    model: ResolvedModel, method: Method, distill: DistillConfig, seed: int
) -> list[tuple[int, int]]:
    """Seed and place of each branch's initial weights."""
    places = range(len(model.mix))
    if distill.own_batches:
        return [(branch_seed(seed, place), 0) for place in places]
    alike = method.student_average and len(set(model.mix)) == 1
    return [(seed, 0 if alike else place) for place in places]


def _average(method: Method, distill: DistillConfig) -> Literal["variable", "constant"] | None:
    if not method.student_average:
        return None
    return "variable" if distill.averaged_gradient else "constant"


def _branches(
    model: ResolvedModel, image_shape: ImageShape, num_classes: int, seeds: list[tuple[int, int]]
) -> _Branches:
    """Each branch built in full; of one backbone, the first one's trunk serves them all.

    Args:
        seeds: of each branch's initial weights, and its place.
    """
    for name in dict.fromkeys(model.mix):
        check_images(name, image_shape, pretrained=model.pretrained)
    built = _Branches({}, tuple(map(trunk_key, model.mix)), [], [], [])
    for index, name in enumerate(model.mix):
        with seeded(*seeds[index]):
            backbone = build_backbone(name, image_shape[0], pretrained=model.pretrained)
            lead, rest = backbone.split(model.trunk_stages)
            trunk = built.trunks.setdefault(built.trunk_of[index], lead)
            shape = _map_shape(nn.Sequential(trunk, rest), image_shape)
            built.maps.append(shape)
            built.branches.append(rest)
            built.classifiers.append(nn.Linear(shape.channels, num_classes))
    return built


def _mean_teachers(
    built: _Branches,
    model: ResolvedModel,
    distill: DistillConfig,
    image_shape: ImageShape,
    num_classes: int,
    seed: int,
) -> AveragedWeights | None:
    """Averages over time that start as the branches, or from initial weights that no branch has."""
    method, count = method_of(distill), len(model.mix)
    if not method.mean_teacher:
        return None
    if method.own_start:
        seeds = [(branch_seed(seed, count + place), place) for place in range(count)]
        built = _branches(model, image_shape, num_classes, seeds)
    return AveragedWeights(built.modules, span=distill.ema_span)


def _head(
    method: Method, design: str, maps: list[MapShape], trunk_width: int, num_classes: int
) -> Fusion | LogitGate | None:
    """The fused classifier of a method; a design of the user's own keeps its initial weights."""
    if method.head is None:
        return None
    if method.head == "logit_gate":
        gate = LogitGate(trunk_width, len(maps))
        init_weights(gate)
        return gate
    name = design if method.head == "fusion" else method.head
    fusion = build_fusion(name, maps, trunk_width, num_classes)
    init_weights(fusion.projections if is_own(name) else fusion)
    if "fused_map" in method.needs and not merges_maps(fusion.design):
        raise SettingError(
            f"fusion.design must merge maps into one, as {DESIGNS[0]} does, for a distill.method "
            f"that reads the fused map, not {name}, which merges pooled features"
        )
    return fusion


def _map_shape(network: nn.Module, image_shape: ImageShape) -> MapShape:
    """Shape of the map that one image gives, by running it without touching batch norm."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    device = next(network.parameters(), torch.empty(0)).device
    with torch.no_grad():
        x: Tensor = network(torch.zeros(1, *image_shape, device=device))
    for module, mode in modes:
        module.training = mode
    return MapShape(*x.shape[1:])
