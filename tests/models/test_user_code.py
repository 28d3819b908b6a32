"""The user's own backbones: a good one trains, and each breach of the contract is named."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import SettingError
from ffl_ray.models import user_backbone
from ffl_ray.models.builder import build_network
from ffl_ray.models.registry import backbone_row, check_images, check_model

NETS = """
import torch
from torch import nn
from ffl_ray.models.backbone import Backbone

class Applied(nn.Module):
    def __init__(self, function, channels=4):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3, padding=1)
        self.function = function
    def forward(self, x):
        return self.function(self.conv(x))

def conv(a, b):
    return nn.Conv2d(a, b, 3, 2, 1)

def tiny(in_channels):
    return nn.Sequential(conv(in_channels, 8), nn.BatchNorm2d(8), nn.ReLU())

def staged(in_channels):
    return Backbone(conv(in_channels, 4), (conv(4, 8), conv(8, 8)))

def sevens(in_channels):
    net = conv(in_channels, 4)
    nn.init.constant_(net.weight, 7.0)
    return net

def with_more_arguments(in_channels, depth):
    return tiny(in_channels)

def number(in_channels):
    return 3

def no_stage(in_channels):
    return Backbone(conv(in_channels, 4), ())

def failing(in_channels):
    raise ValueError("no weights\\nhere")

def flat(in_channels):
    return Applied(lambda x: x.flatten(1))

def a_list(in_channels):
    return Applied(lambda x: [x])

def first_image(in_channels):
    return Applied(lambda x: x[:1])

def empty(in_channels):
    return Applied(lambda x: x[:, :, :0])

def whole_numbers(in_channels):
    return Applied(lambda x: x.int())

def infinite(in_channels):
    return Applied(lambda x: x / 0)

def crashing(in_channels):
    return Applied(lambda x: x @ torch.zeros(5, 5))

def flat_stage(in_channels):
    return Backbone(nn.Identity(), (Applied(lambda x: x.flatten(2)), nn.Identity()))

def unused(in_channels):
    net = tiny(in_channels)
    net.add_module("spare", Spare())
    return net

class Spare(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
    def forward(self, x):
        return x

def detached(in_channels):
    return Applied(lambda x: x.detach())

SHARED = nn.Conv2d(1, 4, 3)

def shared(in_channels):
    return SHARED

not_a_function = 5
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "my_nets.py").write_text(NETS)
    (tmp_path / "my_pkg").mkdir()
    (tmp_path / "my_pkg" / "nets.py").write_text("from my_nets import staged as build\n")
    (tmp_path / "torn.py").write_text("import no_such_package\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    forget()
    yield
    for name in ("my_nets", "my_pkg", "my_pkg.nets", "torn", "leaving"):
        sys.modules.pop(name, None)
    forget()


def forget() -> None:
    user_backbone.check_images.cache_clear()
    backbone_row.cache_clear()


def config_of(mix: str, trunk_stages: int) -> ResolvedConfig:
    return resolved_from({"model.mix": mix, "model.trunk_stages": trunk_stages})


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize(
    ("mix", "trunk_stages"),
    [
        ("2*my_nets:tiny", 0),
        ("2*my_nets:staged", 1),
        ("2*my_pkg.nets:build+resnet8", 1),
        ("my_nets:tiny+my_pkg.nets:build+wrn10_1", 0),
    ],
)
def test_a_backbone_that_keeps_the_contract_trains_in_any_mix(mix: str, trunk_stages: int) -> None:
    config = config_of(mix, trunk_stages)
    check_model(config)
    network = build_network(
        config.model, config.fusion, image_shape=(1, 8, 8), num_classes=10, seed=0
    )

    output = network(torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    torch.autograd.backward(output.members.square().sum())

    assert output.members.shape == (network.num_branches + 2, 4, 10)
    assert all(parameter.grad is not None for parameter in network.parameters())
    network.load_state_dict(network.state_dict())


@pytest.mark.usefixtures("nets")
def test_its_initial_weights_are_its_own() -> None:
    config = config_of("2*my_nets:sevens", 0)

    network = build_network(
        config.model, config.fusion, image_shape=(1, 8, 8), num_classes=10, seed=0
    )

    assert all((p == 7).all() for n, p in network.branches.named_parameters() if "weight" in n)


@pytest.mark.usefixtures("nets")
def test_a_single_module_is_one_stage_which_no_trunk_can_share() -> None:
    assert backbone_row("my_nets:staged").num_stages == 2
    with pytest.raises(SettingError, match="less than the 1 stage of my_nets:tiny.*not 1"):
        check_model(config_of("2*my_nets:tiny", 1))


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my-nets:tiny", "a backbone of your own is module:function, such as my_nets:tiny"),
        ("no_such:tiny", "no_such of no_such:tiny can't be imported from .*: ModuleNotFoundError"),
        ("torn:tiny", "can't be imported.*No module named 'no_such_package'"),
        ("leaving:tiny", "can't be imported.*SystemExit: 3"),
        ("my_nets:tinny", "my_nets must have a function 'tinny', and has not;.*'tiny'"),
        ("my_nets:not_a_function", "must have a function 'not_a_function', and has not"),
        ("my_nets:with_more_arguments", "called with .*fails: TypeError:.*'depth'"),
        ("my_nets:failing", "called with .*fails: ValueError: no weights here$"),
        ("my_nets:number", "must return a torch.nn.Module or a Backbone, not int"),
        ("my_nets:no_stage", "must hold a stem and at least one stage"),
        ("my_nets:flat", r"must give a map \[batch, channels, height, width\], not \[2, 256\]"),
        ("my_nets:a_list", "must give a map .*, not list"),
        ("my_nets:first_image", "must keep the batch of 2 images, not give 1"),
        ("my_nets:empty", r"must give a map .*, not \[2, 4, 0, 8\]"),
        ("my_nets:whole_numbers", "of floating point numbers, not torch.int32"),
        ("my_nets:infinite", "must give finite numbers"),
        ("my_nets:crashing", r"given \[2, 1, 8, 8\], it fails: RuntimeError: .*"),
        ("my_nets:flat_stage", r"stage 0 must give a map .*, not \[2, 4, 64\]"),
        ("my_nets:unused", "every parameter must get a gradient.*none: spare.scale"),
        ("my_nets:detached", "every parameter must get a gradient.*conv.weight, conv.bias"),
        ("my_nets:shared", "must return new modules at each call"),
    ],
)
def test_each_breach_of_the_contract_is_named(name: str, message: str) -> None:
    with pytest.raises(SettingError, match=f"^model.mix: .*{message}") as refused:
        check_model(config_of(f"2*{name}", 0))

    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("nets")
def test_the_contract_is_checked_once_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()

    for _ in range(3):
        check_model(config_of("2*my_nets:tiny", 0))

    assert torch.equal(torch.random.get_rng_state(), before)
    assert user_backbone.check_images.cache_info().misses == 1


@pytest.mark.usefixtures("nets")
def test_a_network_is_built_on_the_meta_device_too() -> None:
    config = config_of("2*my_nets:staged", 1)

    with torch.device("meta"):
        network = build_network(
            config.model, config.fusion, image_shape=(1, 8, 8), num_classes=10, seed=0
        )

    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 8, 20)])
def test_bundled_backbones_take_images_of_any_shape(shape: tuple[int, int, int]) -> None:
    config = config_of("2*resnet8", 1)

    check_images("resnet8", shape, pretrained=False)
    network = build_network(config.model, config.fusion, image_shape=shape, num_classes=5, seed=0)

    assert network(torch.zeros(2, *shape)).fused.shape == (2, 5)
