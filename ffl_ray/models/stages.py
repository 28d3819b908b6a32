"""Any traceable network as stages: its graph is cut where one map crosses and resolution falls.

Names of layers are not needed: a cut is a node of the graph after which no earlier value is
used again, so everything behind it is a function of that one map.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torchvision.models.feature_extraction import NodePathTracer
from torchvision.models.swin_transformer import ShiftedWindowAttention
from torchvision.ops import StochasticDepth

from ffl_ray.models.backbone import Backbone

HEADS = ("avgpool", "classifier", "fc", "head", "heads", "adaptive_avg_pool2d", "mean")


class FoldTokens(nn.Module):
    """Tokens as a square map: [batch, 1 + side^2, width], class token first and dropped."""

    def forward(self, tokens: Tensor) -> Tensor:
        side = math.isqrt(tokens.shape[1] - 1)
        # Not len(): a traced batch size has no int.
        return tokens[:, 1:].transpose(1, 2).reshape(tokens.shape[0], -1, side, side)


class ChannelsFirst(nn.Module):
    """From [batch, height, width, channels] to [batch, channels, height, width]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


class ChannelsLast(nn.Module):
    """From [batch, channels, height, width] to [batch, height, width, channels]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class Traced(NamedTuple):
    """A network's graph, and the path of each of its nodes in the tree of modules."""

    graph: fx.Graph
    paths: dict[fx.Node, str]


class Cut(NamedTuple):
    """The end of a stage.

    Attributes:
        path: of the node that gives its output.
        channels_last: whether that output has its channels in the last place.
        tokens: whether that output is a sequence of tokens and not yet a map.
    """

    path: str
    channels_last: bool = False
    tokens: bool = False


def trace(network: nn.Module) -> Traced:
    """Trace a network of torchvision.

    What depends on training or evaluation stays a module, since the graph would keep the mode
    it was traced in.
    """
    tracer = NodePathTracer(leaf_modules=[StochasticDepth, ShiftedWindowAttention])
    graph = tracer.trace(network)
    return Traced(graph, {n: tracer.node_to_qualname.get(n, n.name) for n in graph.nodes})


def find_cuts(network: nn.Module, side: int) -> list[Cut]:
    """The ends of a network's stages, the last of which gives its feature map.

    Of the places at one resolution the last is taken, at the outermost border of modules. A
    segment without parameters is no stage.

    Args:
        network: on the meta device, in evaluation mode.
        side: of the images that it was made for.
    """
    traced = trace(network)
    nodes = [node for node in traced.graph.nodes if node.op not in ("placeholder", "output")]
    shapes = _shapes(network, traced.graph, side)
    heads = (i for i, n in enumerate(nodes) if traced.paths[n].split(".")[0] in HEADS)
    body = nodes[: next(heads, len(nodes))]
    alone = [node for node in _crossing_alone(nodes, body) if len(shapes[node]) in (3, 4)]
    last = alone[-1]
    levels: dict[int, list[fx.Node]] = {}
    for node in alone:
        if len(shapes[node]) == 4 and not any(_in_place(network, user) for user in node.users):
            level = math.floor(math.log2(side / _height(shapes[node])))
            levels.setdefault(level, []).append(node)
    if len(shapes[last]) == 4:
        levels.popitem()
    order = {node: index for index, node in enumerate(nodes)}
    ends: list[fx.Node] = []
    for places in levels.values():
        end = min(places, key=lambda n: (_depth(traced.paths, nodes, order[n]), -order[n]))
        start = order[ends[-1]] if ends else -1
        inside = _has_parameters(network, nodes[start + 1 : order[end] + 1])
        if inside and _has_parameters(network, nodes[order[end] + 1 : order[last] + 1]):
            ends.append(end)
    return [_cut(traced.paths[node], shapes[node]) for node in (*ends, last)]


def cut_stages(network: nn.Module, cuts: list[Cut]) -> Backbone:
    """The network as a stem (its first resolution) and stages, each a graph of its own.

    Where there is one segment only, it is a stage and the stem is empty.
    """
    traced = trace(network)
    by_path = {path: node for node, path in traced.paths.items()}
    starts = [None, *cuts[:-1]]
    segments = [
        _segment(network, traced.graph, by_path, *ends) for ends in zip(starts, cuts, strict=True)
    ]
    if len(segments) == 1:
        return Backbone(nn.Sequential(), tuple(segments))
    return Backbone(segments[0], tuple(segments[1:]))


def _segment(
    network: nn.Module, graph: fx.Graph, by_path: dict[str, fx.Node], start: Cut | None, end: Cut
) -> nn.Module:
    """The graph between two cuts; maps between segments have their channels first."""
    nodes = list(graph.nodes)
    first = nodes[0] if start is None else by_path[start.path]
    segment = fx.Graph()
    copies = {first: segment.placeholder("x")}
    for node in nodes[nodes.index(first) + 1 : nodes.index(by_path[end.path]) + 1]:
        copies[node] = segment.node_copy(node, copies.__getitem__)
    segment.output(copies[by_path[end.path]])
    module: nn.Module = fx.GraphModule(network, segment)
    if start is not None and start.channels_last:
        module = nn.Sequential(ChannelsLast(), module)
    if end.channels_last:
        return nn.Sequential(module, ChannelsFirst())
    return nn.Sequential(module, FoldTokens()) if end.tokens else module


def _cut(path: str, shape: torch.Size) -> Cut:
    channels_last = len(shape) == 4 and shape[1] == shape[2] != shape[3]
    return Cut(path, channels_last=channels_last, tokens=len(shape) == 3)


def _height(shape: torch.Size) -> int:
    return shape[1] if shape[1] == shape[2] != shape[3] else shape[2]


def _crossing_alone(nodes: list[fx.Node], body: list[fx.Node]) -> list[fx.Node]:
    """Nodes after which nothing but their own value is used of all that came before."""
    order = {node: index for index, node in enumerate(nodes)}
    alone = []
    needed_until = 0
    for index, node in enumerate(body):
        if needed_until <= index:
            alone.append(node)
        needed_until = max([needed_until, *(order.get(u, len(nodes)) for u in node.users)])
    return alone


def _depth(paths: dict[fx.Node, str], nodes: list[fx.Node], index: int) -> int:
    """How deep in the tree of modules the border after a node lies."""
    before, after = (paths[nodes[i]].split(".") for i in (index, index + 1))
    same = (a == b for a, b in zip(before, after, strict=False))
    return next((i for i, equal in enumerate(same) if not equal), min(len(before), len(after)))


def _has_parameters(network: nn.Module, nodes: list[fx.Node]) -> bool:
    for node in nodes:
        if node.op == "get_attr":
            return True
        if node.op == "call_module" and list(network.get_submodule(str(node.target)).parameters()):
            return True
    return False


def _in_place(network: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return bool(getattr(network.get_submodule(str(node.target)), "inplace", False))
    return bool(node.kwargs.get("inplace", False)) or str(node.target).endswith("_")


class _ShapeRecorder(fx.Interpreter):
    """Runs a graph and keeps the shape of every value."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__(network, graph=graph)
        self.shapes: dict[fx.Node, torch.Size] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.shapes[n] = value.shape if isinstance(value, Tensor) else torch.Size()
        return value


def _shapes(network: nn.Module, graph: fx.Graph, side: int) -> dict[fx.Node, torch.Size]:
    recorder = _ShapeRecorder(network, graph)
    with torch.no_grad():
        recorder.run(torch.zeros(1, 3, side, side, device="meta"))
    return recorder.shapes
