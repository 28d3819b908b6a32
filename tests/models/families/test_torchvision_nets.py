"""Networks of torchvision as backbones: cut into stages that give what the whole gives."""

import copy
import os
import re
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from support.late import Late
from torch import Tensor, nn

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import SettingError
from ffl_ray.models.backbone import Backbone
from ffl_ray.models.builder import build_backbone, build_network
from ffl_ray.models.cost import member_costs
from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.outline import on_meta
from ffl_ray.models.registry import backbone_row, check_images, check_model

models = Late("torchvision.models")
extraction = Late("torchvision.models.feature_extraction")
torchvision_nets = Late("ffl_ray.models.families.torchvision_nets")
cut = Late("ffl_ray.models.stages")
ALL = "FFL_RAY_TEST_TORCHVISION" in os.environ
STAGES = {
    "resnet18": (4, 512),
    "vgg11_bn": (4, 512),
    "densenet121": (4, 1024),
    "mobilenet_v3_small": (4, 576),
    "efficientnet_b0": (4, 1280),
    "convnext_tiny": (3, 768),
    "swin_t": (3, 768),
    "vit_b_16": (1, 768),
    "googlenet": (4, 1024),
    "regnet_y_400mf": (4, 440),
}


def named(name: str) -> str:
    return f"torchvision:{name}"


def whole(backbone: Backbone) -> nn.Sequential:
    return nn.Sequential(backbone.stem, *backbone.stages)


def config_of(mix: str, **model: object) -> ResolvedConfig:
    size = model.pop("image_size", 32)
    overrides = {f"model.{name}": value for name, value in model.items()}
    data = {"data.name": "folder", "data.image_size": size}
    return resolved_from({"model.mix": mix} | data | overrides)


def network_of(config: ResolvedConfig, num_classes: int = 10) -> FusionNetwork:
    return build_network(
        config.model,
        config.fusion,
        image_shape=image_shape(config.data),
        num_classes=num_classes,
        seed=0,
    )


@pytest.mark.parametrize("name", STAGES)
def test_the_stages_chain_to_the_last_feature_map(name: str) -> None:
    stages, width = STAGES[name]
    with on_meta():
        backbone = build_backbone(named(name), 3)
        x = backbone.stem(torch.empty(2, 3, 224, 224))
        shapes = [(x := stage(x)).shape for stage in backbone.stages]

    assert backbone_row(named(name)).num_stages == stages == len(backbone.stages)
    assert shapes[-1][:2] == (2, width)
    for batch, _, height, wide in shapes:
        assert batch == 2
        assert height == wide <= 112
    assert [shape[2] for shape in shapes] == sorted({shape[2] for shape in shapes}, reverse=True)
    assert all(list(stage.parameters()) for stage in backbone.stages)


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("resnet18", "layer4"),
        ("mobilenet_v3_small", "features"),
        ("swin_t", "permute"),
        ("shufflenet_v2_x0_5", "conv5"),
    ],
)
def test_the_map_is_that_of_torchvisions_feature_extractor(name: str, end: str) -> None:
    torch.manual_seed(0)
    network = models.get_model(name)
    extractor = extraction.create_feature_extractor(network, [end]).eval()
    torch.manual_seed(0)
    backbone = whole(torchvision_nets.build(3, name=named(name)))
    images = torch.randn(2, 3, 64, 64)

    with torch.no_grad():
        expected: Tensor = extractor(images)[end]
        given: Tensor = backbone.eval()(images)

    torch.testing.assert_close(given, expected)


def test_a_vision_transformers_map_is_its_patch_tokens_in_their_places() -> None:
    torch.manual_seed(0)
    network = models.VisionTransformer(32, 16, 1, 2, 8, 16).eval()
    cuts = cut.find_cuts(copy.deepcopy(network).to("meta"), 32)
    backbone = whole(cut.cut_stages(network, cuts)).eval()
    images = torch.randn(2, 3, 32, 32)

    with torch.no_grad():
        feature_map: Tensor = backbone(images)
        tokens = extraction.create_feature_extractor(network, ["encoder.ln"])(images)["encoder.ln"]

    assert feature_map.shape == (2, 8, 2, 2)
    torch.testing.assert_close(feature_map[:, :, 0, 1], tokens[:, 2])
    torch.testing.assert_close(feature_map[:, :, 1, 0], tokens[:, 3])


@pytest.mark.parametrize(
    ("name", "channels"), [("mobilenet_v3_small", 1), ("swin_t", 3), ("shufflenet_v2_x0_5", 3)]
)
def test_every_parameter_gets_a_gradient_in_channels_last_memory_too(
    name: str, channels: int
) -> None:
    backbone = whole(build_backbone(named(name), channels))
    backbone.to(memory_format=torch.channels_last)
    images = torch.randn(2, channels, 32, 32, generator=torch.Generator().manual_seed(0))

    feature_map: Tensor = backbone(images)
    torch.autograd.backward(feature_map.square().mean())

    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())


@pytest.mark.parametrize(
    ("name", "design"), [("regnet_y_400mf", "concat_depthwise"), ("swin_t", "gated")]
)
def test_branches_share_the_leading_stages_and_mix_with_bundled_ones(
    name: str, design: str
) -> None:
    config = config_of(f"2*{named(name)}+resnet8", trunk_stages=2)
    config = with_overrides(config, {"fusion.design": design})
    check_model(config)
    network = network_of(config)

    output = network(torch.zeros(2, 3, 32, 32))

    assert output.members.shape == (5, 2, 10)
    assert list(network.trunks) == ["resnet8", named(name)]
    network.load_state_dict(network.state_dict())


def test_equal_seeds_give_equal_weights_and_torchvisions_own_initialisation() -> None:
    state, again = (
        network_of(config_of("2*torchvision:squeezenet1_1", trunk_stages=0)).state_dict()
        for _ in range(2)
    )

    assert all(torch.equal(a, b) for a, b in zip(state.values(), again.values(), strict=True))
    assert all((value == 0).all() for key, value in state.items() if "conv.bias" in key)


@pytest.mark.parametrize(
    ("name", "gmacs"),
    [("resnet18", 1.814), ("vit_b_16", 17.564), ("swin_t", 4.491)],
)
def test_costs_are_those_that_torchvision_publishes(name: str, gmacs: float) -> None:
    config = config_of(f"2*{named(name)}", trunk_stages=0, image_size=224)
    with on_meta():
        network = network_of(config, num_classes=1000)
        cost = member_costs(network, (3, 224, 224))["branch0"]
    weights = models.get_model_weights(name).DEFAULT

    assert weights.meta["_ops"] == gmacs
    assert cost.macs / 1e9 == pytest.approx(gmacs, rel=0.003)
    assert cost.parameters == weights.meta["num_params"]


@pytest.mark.parametrize(
    ("name", "image_shape", "message"),
    [
        ("vit_b_16", (3, 32, 32), "takes images of exactly 224 x 224 pixels, not 32 x 32"),
        ("inception_v3", (3, 64, 64), "takes images of at least 75 x 75 pixels, not 64 x 64"),
        ("vgg11", (1, 8, 8), "takes images of at least 32 x 32 pixels, not 8 x 8"),
        ("resnet18", (4, 32, 32), "takes images of 1 or 3 channels, not 4"),
    ],
)
def test_images_that_a_network_can_not_take_are_refused(
    name: str, image_shape: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(SettingError, match=f"torchvision:{name} {message}"):
        check_images(named(name), image_shape, pretrained=False)


def test_an_unknown_network_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match=r"no 'torchvision:resnet19'; the nearest.*'torchvision"):
        backbone_row("torchvision:resnet19")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch.hub with a folder of its own and no way to the network."""

    def offline(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("torch.hub.urlopen", offline)
    return tmp_path / "hub" / "checkpoints"


def test_pretrained_weights_that_can_not_be_loaded_say_where_to_put_them(hub: Path) -> None:
    config = config_of("2*torchvision:squeezenet1_1", trunk_stages=0, pretrained=True)

    with pytest.raises(SettingError) as refused:
        network_of(config)

    message = str(refused.value)
    assert "model.pretrained: the weights of torchvision:squeezenet1_1 can't be loaded" in message
    assert "no route to host" in message
    assert "put https://" in message
    assert message.endswith(f" at {hub / 'squeezenet1_1-b8a52dc0.pth'}")
    assert "\n" not in message


def test_pretrained_weights_stay_what_they_are(hub: Path) -> None:
    published = models.squeezenet1_1().state_dict()
    published["features.0.weight"].fill_(0.5)
    hub.mkdir(parents=True)
    torch.save(published, hub / "squeezenet1_1-b8a52dc0.pth")
    config = config_of("2*torchvision:squeezenet1_1", trunk_stages=1, pretrained=True)

    state = network_of(config).state_dict()

    for path, value in published.items():
        if path.startswith("features."):
            kept = [key for key in state if key.endswith(path)]
            assert kept, path
            assert all(torch.equal(state[key], value) for key in kept)


def test_pretrained_needs_backbones_with_published_weights() -> None:
    with pytest.raises(SettingError, match=r"model.pretrained needs .*timm:NAME, not resnet20"):
        check_model(config_of("resnet20+torchvision:resnet18", trunk_stages=0, pretrained=True))


def test_on_the_meta_device_nothing_is_downloaded(hub: Path) -> None:
    with torch.device("meta"):
        network = network_of(
            config_of("2*torchvision:squeezenet1_1", trunk_stages=0, pretrained=True)
        )

    assert all(parameter.is_meta for parameter in network.parameters())
    assert not hub.exists()


@pytest.mark.skipif(
    not ALL, reason="a few minutes: FFL_RAY_TEST_TORCHVISION=1 builds all networks of torchvision"
)
@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("name", torchvision_nets.names() if ALL else ["resnet18"])
def test_every_network_of_torchvision_is_a_backbone(name: str, pretrained: bool) -> None:
    side = torchvision_nets.least_side(name, pretrained) if pretrained else 224
    check_images(name, (3, max(side, 224), max(side, 224)), pretrained=pretrained)
    with torch.device("meta"):
        network = torchvision_nets.network_on_meta(name, pretrained)
        in_training, in_evaluation = (
            [
                re.sub("_tensor_constant[0-9]+", "constant", str(node.format_node()))
                for node in cut.trace(network.train(mode)).graph.nodes
            ]
            for mode in (True, False)
        )

    assert backbone_row(name).num_stages >= 1
    assert in_training == in_evaluation
