"""The page docs/networks.md: what every backbone with every fusion design costs.

`python docs/networks_page.py` prints it, and computes no number of any map.
"""

from __future__ import annotations

import functools
import importlib
import math
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ffl_ray.config.overrides import mix_name
from ffl_ray.config.settings import FusionConfig, ResolvedModel
from ffl_ray.models.builder import build_network
from ffl_ray.models.bundled import BACKBONES
from ffl_ray.models.cost import MemberCost, count_macs, count_parameters
from ffl_ray.models.fusion import FUSION_DESIGNS, Fusion, MapShape, build_fusion
from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.outline import on_meta
from ffl_ray.models.registry import backbone_row

NUM_CLASSES = 100
IMAGE_SIZE = 32
PARTNERS = ("resnet20", "wrn16_2")
_EXAMPLE = {"n": 2, "C": 64, "P": 8 * 8, "D": 32, "K": NUM_CLASSES}

INTRODUCTION = f"""# Networks and what they cost

For {NUM_CLASSES} classes and one {IMAGE_SIZE}x{IMAGE_SIZE} colour image; MACs are the
multiply-accumulates of convolutions and matrix products. Tests hold every number;
`python docs/networks_page.py` prints this page."""
BACKBONE_NOTE = """One branch deployed alone, which is the plain network: its trunk, its private
stages and its classifier. The last map (channels x height x width) is what the fusion takes."""
LIBRARY_NOTE = """Every classification network of torchvision (`torchvision:resnet18`) and every
network of timm that has a features_only form (`timm:resnet18.a1_in1k`; `pip install
"ffl_ray[timm]"`) is a backbone too: alone, in a mix, in a search space's list.

```console
$ python -m ffl_ray.train --data-dir PHOTOS --set data.name=folder --set model.mix=2*resnet18
```

- **Names**: a bare name is a family's of the table above, else torchvision's, else timm's:
  `resnet18` is `torchvision:resnet18`, `convnext_atto` is `timm:convnext_atto`. Those above keep
  their meaning: `resnet20`, `vgg16` and `resnet50` are CIFAR's, of depth 6n + 2.
- **Stages** are what a trunk shares. Of torchvision a network is cut by resolution; of timm where
  its features_only form gives a map, if that form is a chain of modules (ResNets, ConvNeXts,
  EfficientNets, MobileNets, RegNets, Swin, ...). Vision transformers and networks that timm reads
  by hooks are one stage: with the default `model.trunk_stages=-1` their branches share nothing,
  and more than 0 is refused.
- **Refused**: images of a size that the network does not take (timm's vision transformers have
  one), and networks whose last map leaves parameters without a gradient (HRNet).
- **Weights**: `model.pretrained=true`. torchvision's come from their address; timm's from the
  Hugging Face hub and its cache (`HF_HOME`), unless `NAME.safetensors`, `.pth` or `.bin` lies in
  torch's folder (`~/.cache/torch/hub/checkpoints/resnet18.a1_in1k.safetensors`), which is then
  taken. No file may hold code. A study that goes on, and one that is confirmed, downloads
  nothing.
- Images are normalised by the data's mean and deviation (of photographs ImageNet's); a few of
  timm's networks were trained with others."""
DESIGN_NOTE = """The fusion module alone for n = 2 branches with maps of C = 64 channels and
P = 8x8 pixels, D = 32 trunk features and K = 100 classes, as two CIFAR ResNets with two shared
stages give. Branches whose map has another width or resolution pass a projection first: average
pooling to the smallest resolution, a 1x1 convolution from their c channels to the largest width
C, batch norm, ReLU. Each adds `c*C + 2*C` parameters and `c*C*P` MACs, which the last table
includes."""
PRODUCT_NOTES = {
    "same": """Fused member, parameters / MACs in millions: two branches of one backbone that share
two stages. Each of these networks, and each of the next table, is held by a test at 8x8, 32x32 and
64x64: forward, backward, a gradient for every parameter.""",
    "mixed": f"""The same for a branch of each backbone beside {PARTNERS[0]} ({PARTNERS[1]} beside
{PARTNERS[0]}), each on its own trunk.""",
}


class BackboneCost(NamedTuple):
    """One branch deployed alone, and its last map."""

    branch: MemberCost
    map: MapShape


def mixes(backbone: str) -> dict[str, tuple[str, ...]]:
    """A backbone twice, and beside the first of `PARTNERS` that is another."""
    partner = next(name for name in PARTNERS if name != backbone)
    return {"same": (backbone, backbone), "mixed": tuple(sorted((backbone, partner)))}


@functools.cache
@on_meta()
def meta_network(mix: tuple[str, ...]) -> FusionNetwork:
    """The network of a mix on the meta device."""
    return build_network(
        ResolvedModel(mix=mix, trunk_stages=2),
        FusionConfig(),
        image_shape=(3, IMAGE_SIZE, IMAGE_SIZE),
        num_classes=NUM_CLASSES,
        seed=0,
    )


def meta_images(batch: int, size: int) -> Tensor:
    """Colour images without numbers."""
    return torch.empty(batch, 3, size, size, device="meta")


@on_meta()
def meta_fusion(design: str, maps: list[Tensor], features: Tensor) -> Fusion:
    """A fusion design on the meta device for such maps and trunk features."""
    shapes = [MapShape(*x.shape[1:]) for x in maps]
    return build_fusion(design, shapes, features.shape[1], NUM_CLASSES)


def fusion_costs(maps: list[Tensor], features: Tensor) -> Iterator[MemberCost]:
    """The cost of every design, with the projections that these maps need."""
    for design in FUSION_DESIGNS:
        fusion = meta_fusion(design, maps, features).eval()
        macs, _ = count_macs(functools.partial(fusion, maps, features))
        yield MemberCost(count_parameters(fusion), macs)


@on_meta()
def fused_costs(network: FusionNetwork) -> dict[str, MemberCost]:
    """The cost of the fused member by design, for one image; the network's own is left aside."""
    network.eval()
    images = meta_images(1, IMAGE_SIZE)
    macs, inputs = count_macs(lambda: network.fusion_inputs(images))
    parameters = count_parameters(network.trunks, network.branches)
    return {
        design: MemberCost(parameters + cost.parameters, macs + cost.macs)
        for design, cost in zip(FUSION_DESIGNS, fusion_costs(*inputs), strict=True)
    }


@on_meta()
def backbone_cost(network: FusionNetwork) -> BackboneCost:
    """The cost of the network's first branch for one image, and its last map."""
    network.eval()
    trunk, branch, classifier = parts = network.member_modules("branch0")

    def run() -> Tensor:
        feature_map: Tensor = branch(trunk(meta_images(1, IMAGE_SIZE)))
        classifier(feature_map.mean(dim=(2, 3)))
        return feature_map

    macs, feature_map = count_macs(run)
    return BackboneCost(
        MemberCost(count_parameters(*parts), macs), MapShape(*feature_map.shape[1:])
    )


def documented(design: str, what: str) -> str:
    """What a design's docstring says of its `Source`, `Parameters` or `MACs`."""
    text = " ".join(str(FUSION_DESIGNS[design].__doc__).split()) + " "
    found = re.search(rf" {what}: (.+?)\. (?=$|Parameters:|MACs:)", text)
    if found is None:
        raise ValueError(
            f"a fusion design's docstring must state {what}, which {design}'s does not"
        )
    return found[1]


def backbone_line(backbone: str) -> str:
    """A backbone's line of the page."""
    cost = backbone_cost(meta_network(mixes(backbone)["same"]))
    row = backbone_row(backbone)
    family = importlib.import_module(row.function.partition(":")[0])
    source = " ".join(str(family.__doc__).partition("\n\n")[0].split()).rstrip(".")
    stages, shape = str(row.num_stages), "x".join(str(size) for size in cost.map)
    return _row(f"`{backbone}`", *map(_grouped, cost.branch), stages, shape, source)


@on_meta()
def design_lines() -> list[str]:
    """The designs' lines of the page."""
    width, pixels = _EXAMPLE["C"], math.isqrt(_EXAMPLE["P"])
    maps = [torch.empty(1, width, pixels, pixels, device="meta")] * _EXAMPLE["n"]
    costs = fusion_costs(maps, torch.empty(1, _EXAMPLE["D"], device="meta"))
    lines = []
    for design, cost in zip(FUSION_DESIGNS, costs, strict=True):
        formulas = [f"`{documented(design, what)}`" for what in ("Parameters", "MACs")]
        source = documented(design, "Source")
        lines.append(_row(f"`{design}`", *map(_grouped, cost), *formulas, source))
    return lines


def product_line(backbone: str, kind: str) -> str:
    """A backbone's line of fused costs, in millions, for the mix `same` or `mixed`."""
    mix = mixes(backbone)[kind]
    costs = fused_costs(meta_network(mix)).values()
    cells = [f"{cost.parameters / 1e6:.3f} / {cost.macs / 1e6:.2f}" for cost in costs]
    return _row(f"`{mix_name(mix)}`", *cells)


def networks_page() -> str:
    """The page docs/networks.md, in Markdown."""
    lines = [INTRODUCTION, "", "## Backbones", "", BACKBONE_NOTE, ""]
    lines += _table("backbone", "parameters", "MACs", "stages", "last map", "family and source")
    lines += [backbone_line(backbone) for backbone in BACKBONES]
    lines += ["", "## Networks of libraries", "", LIBRARY_NOTE]
    lines += ["", "## Fusion designs", "", DESIGN_NOTE, ""]
    costs = ("parameters", "MACs", "parameters, formula", "MACs, formula")
    lines += _table("design", *costs, "source")
    lines += design_lines()
    for kind, note in PRODUCT_NOTES.items():
        lines += ["", f"## Every backbone with every design: {kind}", "", note, ""]
        lines += _table("mix", *(f"`{design}`" for design in FUSION_DESIGNS))
        lines += [product_line(backbone, kind) for backbone in BACKBONES]
    return "\n".join(lines)


def _table(*heads: str) -> list[str]:
    return [_row(*heads), "|" + "---|" * len(heads)]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _grouped(count: int) -> str:
    return f"{count:,}"


if __name__ == "__main__":
    sys.stdout.write(networks_page() + "\n")
