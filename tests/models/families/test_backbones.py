"""Bundled families: published sizes, names and depths, any image size, every parameter used."""

import functools
import re
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from ffl_ray.errors import SettingError
from ffl_ray.models.backbone import Backbone
from ffl_ray.models.builder import build_backbone
from ffl_ray.models.bundled import BACKBONES
from ffl_ray.models.outline import on_meta
from ffl_ray.models.registry import backbone_row

SMALLEST = (
    "resnet8",
    "bottleneck_resnet11",
    "wide_bottleneck_resnet11_2",
    "preact_resnet8",
    "preact_bottleneck_resnet11",
    "wrn10_1",
    "vgg11",
    "densenet7_12",
    "densenet_bc10_12",
    "mobilenet_v2",
    "shufflenet_v2",
)


@functools.cache
@on_meta()
def outline(name: str) -> Backbone:
    """A backbone without numbers, which every test of this file reads."""
    return build_backbone(name, 3)


@functools.cache
@on_meta()
def map_shapes(name: str, size: int) -> list[torch.Size]:
    """The shapes of the maps that two images of this size give, a stage each."""
    backbone = outline(name)
    x = backbone.stem(torch.empty(2, 3, size, size))
    return [(x := stage(x)).shape for stage in backbone.stages]


def whole(backbone: Backbone) -> nn.Sequential:
    return nn.Sequential(backbone.stem, *backbone.stages)


def deployed(name: str, num_classes: int) -> int:
    """Parameters of the backbone with one linear classifier."""
    width = map_shapes(name, 32)[-1][1]
    parameters = sum(p.numel() for p in whole(outline(name)).parameters())
    return parameters + num_classes * (width + 1)


@pytest.mark.parametrize(
    ("name", "num_classes", "exact", "published"),
    [
        # MCL-OKD's table (METHODS.md 3), whose ResNet-32 has the same projections
        ("resnet32", 100, 472_756, "0.47M"),
        # the same table; this ResNet-110 has bottlenecks in 12 + 12 + 12 blocks
        ("bottleneck_resnet110", 100, 1_170_868, "1.17M"),
        # counted from PCL's program, ResNet([2, 2, 2], width_per_group=512) (METHODS.md 2.2)
        ("wide_bottleneck_resnet20_8", 100, 6_871_220, "6.87M"),
        # Huang et al. 2017, arXiv:1608.06993, table 2: 1.7M for ResNet-164 (10 classes)
        ("bottleneck_resnet164", 10, 1_704_154, "1.7M"),
        ("preact_bottleneck_resnet164", 10, 1_703_258, "1.7M"),
        # Zagoruyko and Komodakis 2016, arXiv:1605.07146, table 4 (10 classes)
        ("wrn40_2", 10, 2_243_546, "2.2M"),
        ("wrn28_10", 10, 36_479_194, "36.5M"),
        # Zagoruyko and Komodakis 2017, arXiv:1612.03928, table 1 (10 classes)
        ("wrn16_2", 10, 691_674, "0.7M"),
        # no count is published; exact from the architecture
        ("wrn16_4", 10, 2_748_890, "2.7M"),
        # MCL-OKD's table
        ("vgg16", 100, 14_770_212, "14.77M"),
        # Huang et al. 2017, arXiv:1608.06993, table 2 (10 classes)
        ("densenet40_12", 10, 1_019_722, "1.0M"),
        ("densenet_bc100_12", 10, 769_162, "0.8M"),
        # MCL-OKD's "DenseNet-40-12"
        ("densenet_bc40_12", 100, 188_092, "0.19M"),
        # the ImageNet networks, whose strides alone differ: torchvision's counts of the same
        # widths (`num_params` of its weights; Sandler et al. 2018, table 4, say 3.4M)
        ("mobilenet_v2", 1000, 3_504_872, "3.5M"),
        ("shufflenet_v2", 1000, 2_278_604, "2.3M"),
        ("mobilenet_v2", 100, 2_351_972, "2.35M"),
        ("shufflenet_v2", 100, 1_356_104, "1.36M"),
    ],
)
def test_a_deployed_branch_has_the_published_number_of_parameters(
    name: str, num_classes: int, exact: int, published: str
) -> None:
    digits = len(published.partition(".")[2]) - 1

    assert deployed(name, num_classes) == exact
    assert f"{exact / 1e6:.{digits}f}M" == published


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # He et al. 2016, arXiv:1512.03385, table 6, shortcuts without parameters (10 classes)
        ("resnet20", "0.27M"),
        ("resnet32", "0.46M"),
        ("resnet44", "0.66M"),
        ("resnet56", "0.85M"),
        ("resnet110", "1.73M"),  # 1.7M there
        ("preact_resnet110", "1.73M"),  # the same layers
    ],
)
def test_without_projections_basic_resnets_have_the_papers_counts(
    name: str, published: str
) -> None:
    backbone = whole(outline(name))
    projections = sum(p.numel() for key, p in backbone.named_parameters() if "shortcut" in key)

    assert f"{(deployed(name, 10) - projections) / 1e6:.2f}M" == published


@pytest.mark.parametrize(
    ("name", "millions"), [("vgg11", 133), ("vgg13", 133), ("vgg16", 138), ("vgg19", 144)]
)
def test_with_the_papers_three_linear_layers_vgg_has_the_papers_counts(
    name: str, millions: int
) -> None:
    convs = [m for m in whole(outline(name)).modules() if isinstance(m, nn.Conv2d)]
    linear = sum(a * b + b for a, b in ((512 * 7 * 7, 4096), (4096, 4096), (4096, 1000)))

    total = sum(conv.weight.numel() + conv.out_channels for conv in convs) + linear

    assert round(total / 1e6) == millions


@pytest.mark.parametrize("name", BACKBONES)
def test_the_stages_of_every_listed_backbone_chain_at_every_size(name: str) -> None:
    backbone = outline(name)

    for size in (8, 32, 64):
        shapes = map_shapes(name, size)
        sides = [shape[2] for shape in shapes]

        assert len(shapes[-1]) == 4
        assert shapes[-1][0] == 2
        assert 0 not in shapes[-1]
        assert sides == sorted(sides, reverse=True)
    assert len(backbone.stages) == backbone_row(name).num_stages
    assert all(list(stage.parameters()) for stage in backbone.stages)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SMALLEST)
def test_the_smallest_of_each_family_trains_every_parameter(name: str, channels: int) -> None:
    backbone = whole(build_backbone(name, channels))
    images = torch.randn(4, channels, 8, 8, generator=torch.Generator().manual_seed(0))

    feature_map: Tensor = backbone(images)
    torch.autograd.backward(feature_map.square().mean())

    assert feature_map.isfinite().all()
    for path, parameter in backbone.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path


@pytest.mark.parametrize("name", SMALLEST)
def test_a_deeper_last_stage_has_so_many_blocks_more_and_nothing_else_changes(name: str) -> None:
    plain, one, two = (outline(f"{name}{more}") for more in ("", "+1", "+2"))
    ours, theirs = (map_shapes(f"{name}{more}", 32)[-1] for more in ("+2", ""))

    layers = [sum(1 for _ in b.stages[-1].modules()) for b in (plain, one, two)]

    assert layers[1] - layers[0] == layers[2] - layers[1] > 1
    for stages in (one.stages[:-1], two.stages[:-1]):
        assert [str(stage) for stage in stages] == [str(stage) for stage in plain.stages[:-1]]
    assert ours[2:] == theirs[2:]
    if not name.startswith("densenet"):
        assert ours == theirs


@pytest.mark.parametrize("name", BACKBONES)
def test_a_row_has_the_numbers_of_its_name(name: str) -> None:
    numbers = re.findall("[0-9]+", name.replace("_v2", ""))

    assert [str(value) for value in backbone_row(name).arguments.values()] == numbers


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet31", r"a CIFAR ResNet's depth is 6n \+ 2 with n >= 1, not 31"),
        ("resnet2", r"6n \+ 2 with n >= 1, not 2"),
        ("bottleneck_resnet56x", "must name known backbones.*nearest known is 'bottleneck_resnet"),
        ("bottleneck_resnet112", r"a bottleneck CIFAR ResNet's depth is 9n \+ 2.*not 112"),
        ("wide_bottleneck_resnet21_8", r"a wide bottleneck CIFAR ResNet's depth is 9n.*not 21"),
        ("preact_resnet111", r"a pre-activation CIFAR ResNet's depth is 6n \+ 2.*not 111"),
        ("preact_bottleneck_resnet163", r"pre-activation bottleneck.*9n \+ 2.*not 163"),
        ("wrn20_8", r"a wide ResNet's depth is 6n \+ 4 with n >= 1, not 20"),
        ("vgg12", "a VGG's depth is 11, 13, 16 or 19, not 12"),
        ("densenet41_12", r"a CIFAR DenseNet's depth is 3n \+ 4.*not 41"),
        ("densenet_bc43_12", r"a CIFAR DenseNet-BC's depth is 6n \+ 4.*not 43"),
        ("wrn16_0", "must name known backbones.*not 'wrn16_0'; the nearest known is 'wrn16_"),
        ("mobilenetv2", "must name known backbones.*the nearest known is 'mobilenet_v2'"),
        ("resnet020", "must name known backbones"),
        ("resnet20+1000", "must name known backbones"),
        ("torchvision:resnet18+2", r"add blocks to bundled backbones alone.*not to torchvision"),
    ],
)
def test_a_name_that_no_family_has_is_refused_with_the_rule(name: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        backbone_row(name)


def test_any_depth_of_a_family_is_known_without_being_listed() -> None:
    assert backbone_row("resnet1202").arguments == {"depth": 1202}
    assert backbone_row("wrn22_8").arguments == {"depth": 22, "widen": 8}


def test_the_table_loads_and_checks_names_without_torch() -> None:
    program = (
        "import sys; from ffl_ray.models import registry\n"
        "from ffl_ray.config.methods import resolved_from\n"
        "[registry.backbone_row(name) for name in registry.BACKBONES]\n"
        "registry.check_model(resolved_from({}))\n"
        "assert 'torch' not in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True)
