"""Networks of timm as backbones: its features_only form, cut where it gives maps."""

import functools
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.late import Late
from torch import Tensor, nn

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.data.dataset import DatasetInfo
from ffl_ray.errors import SettingError
from ffl_ray.export.member import empty_network
from ffl_ray.exported.about import About, code_named_in
from ffl_ray.exported.member import rebuilt
from ffl_ray.models.builder import build_backbone, build_network
from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.registry import (
    backbone_row,
    check_images,
    check_model,
    check_weights_here,
    full_name,
)

timm = Late("timm")
SMALL = "timm:resnet10t.c3_in1k"


def config_of(mix: str, **model: object) -> ResolvedConfig:
    overrides = {f"model.{name}": value for name, value in model.items()}
    return resolved_from(
        {"model.mix": mix, "data.name": "folder", "data.image_size": 32} | overrides
    )


def network_of(config: ResolvedConfig) -> FusionNetwork:
    return build_network(
        config.model, config.fusion, image_shape=image_shape(config.data), num_classes=10, seed=0
    )


@pytest.mark.parametrize(
    ("name", "stages", "side"),
    [
        ("resnet10t.c3_in1k", 4, 64),
        ("mobilenetv3_small_050", 4, 64),
        ("efficientnet_lite0", 4, 64),
        ("convnext_atto", 3, 64),
        ("vit_tiny_patch16_224", 1, 224),
        ("mambaout_femto", 3, 64),
    ],
)
def test_stages_chain_to_the_last_map_of_timms_features(name: str, stages: int, side: int) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model(name, features_only=True).eval()
    torch.manual_seed(0)
    backbone = build_backbone(f"timm:{name}", 3)
    ours = nn.Sequential(backbone.stem, *backbone.stages).eval()
    images = torch.randn(1, 3, side, side)

    with torch.no_grad():
        expected: Tensor = theirs(images)[-1]
        given: Tensor = ours(images)

    if expected.shape[-1] == theirs.feature_info.channels()[-1]:
        expected = expected.permute(0, 3, 1, 2)
    torch.testing.assert_close(given, expected)
    assert backbone_row(f"timm:{name}").num_stages == stages == len(backbone.stages)


def test_branches_share_the_leading_stages_and_mix_with_others() -> None:
    config = config_of(f"2*{SMALL}+resnet8", trunk_stages=2)
    check_model(config)
    network = network_of(config)

    output = network(torch.zeros(2, 3, 32, 32))
    loss: Tensor = output.members.square().mean()
    loss.backward()  # type: ignore[no-untyped-call]

    assert output.members.shape == (5, 2, 10)
    assert list(network.trunks) == ["resnet8", SMALL.replace(".", "/")]
    assert all(p.grad is not None for p in network.trunks.parameters())
    network.load_state_dict(network.state_dict())


def test_a_bare_name_is_a_familys_else_torchvisions_else_timms() -> None:
    assert full_name("resnet20") == "resnet20"
    assert full_name("vgg16") == "vgg16"
    assert full_name("resnet18") == "torchvision:resnet18"
    assert full_name("resnet10t.c3_in1k") == SMALL
    assert backbone_row("resnet10t").num_stages == 4
    with pytest.raises(SettingError, match="a CIFAR ResNet's depth is 6n"):
        backbone_row("resnet19")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_tiny_patch16_224", "does not take images of 32 x 32 pixels; it was made for 224 x"),
        (
            "hrnet_w18_small",
            "can't be a branch: its last feature map leaves [0-9]+ parameters with",
        ),
        ("resnet18.a1_in1", "timm has no network .*; the nearest known is 'timm:resnet18.a1_in1k'"),
    ],
)
def test_what_can_not_be_a_branch_is_refused(name: str, message: str) -> None:
    with pytest.raises(SettingError, match=message) as refused:
        check_images(f"timm:{name}", (3, 32, 32), pretrained=False)

    assert "\n" not in str(refused.value)


def test_published_weights_come_from_a_file_in_torchs_folder(hub: Path) -> None:
    published = timm.create_model("resnet10t").state_dict()
    published["layer4.0.conv1.weight"].fill_(0.25)
    save_file(published, hub / "resnet10t.c3_in1k.safetensors")
    config = config_of(f"2*{SMALL}", trunk_stages=1, pretrained=True)

    check_weights_here(config)
    state = network_of(config).state_dict()

    kept = [key for key in published if any(torch.equal(published[key], v) for v in state.values())]
    assert kept == [key for key in published if not key.startswith("fc.")]
    assert sum(v.numel() > 1 and bool((v == 0.25).all()) for v in state.values()) == 2


def test_no_version_of_timm_unpickles_more_than_weights(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"a": Path("x")}, hub / "resnet10t.c3_in1k.pth")
    older = functools.partial(torch.load, map_location="cpu", weights_only=False)
    monkeypatch.setattr("timm.models._helpers._torch_load", lambda path, **_: older(path))

    with pytest.raises(SettingError, match=r"\(UnpicklingError: .*Weights only load failed"):
        network_of(config_of(f"2*{SMALL}", pretrained=True))


def test_weights_that_can_not_be_had_say_where_to_put_them(hub: Path) -> None:
    config = config_of(f"2*{SMALL}", trunk_stages=1, pretrained=True)

    with pytest.raises(SettingError) as refused:
        network_of(config)
    with pytest.raises(SettingError, match="a study that goes on or is confirmed downloads none"):
        check_weights_here(config)

    message = str(refused.value)
    assert f"model.pretrained: the weights of {SMALL} can't be loaded" in message
    assert message.endswith(
        "; put model.safetensors of https://huggingface.co/timm/resnet10t.c3_in1k at "
        f"{hub / 'resnet10t.c3_in1k.safetensors'}"
    )
    assert "\n" not in message


def test_a_network_without_published_weights_is_refused_before_it_is_built() -> None:
    name = next(n for n in timm.list_models("resnet*") if not timm.is_model_pretrained(n))

    with pytest.raises(
        SettingError, match=f"needs published weights, and timm has none of .*{name}"
    ):
        check_images(f"timm:{name}", (3, 224, 224), pretrained=True)


def test_without_timm_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setattr("ffl_ray.models.families.timm_nets.names", list)

    with pytest.raises(SettingError, match=r'needs the package timm: pip install "ffl_ray\[timm\]'):
        backbone_row("timm:resnet14t")


def test_names_of_libraries_are_no_code_and_other_settings_hide_none() -> None:
    settings = {
        "model.mix": ["timm:resnet18", "nets:tiny"],
        "data.name": "hf:beans",
        "distill.method": "timm:evil",
    }

    assert code_named_in(settings) == ["nets:tiny", "timm:evil"]


def test_what_no_file_of_weights_holds_is_computed_anew_for_an_export() -> None:
    mix = "2*timm:levit_128s.fb_dist_in1k"
    of_export = {"model.mix": mix, "model.pretrained": True, "distill.method": "ffl"}
    about = About("branch0", of_export, (3, 224, 224), ("a", "b"), (0.5,) * 3, (0.5,) * 3)
    large = resolved_from({"model.mix": mix, "data.name": "folder", "data.image_size": 224})
    pretrained = large.model_copy(
        update={"model": large.model.model_copy(update={"pretrained": True})}
    )
    drawn = dict(network_of(large).named_buffers())
    none = DatasetInfo(("a", "b"), (0.5,) * 3, (0.5,) * 3, 0, flip=False)

    member = rebuilt(about).network
    network = empty_network(pretrained, none, (3, 224, 224))

    for made, count in ((member, 11), (network, 22)):
        saved = made.state_dict().keys()
        found = {name: b for name, b in made.named_buffers() if name not in saved}
        assert len(found) >= count
        assert all(torch.equal(b, drawn[name]) for name, b in found.items())
