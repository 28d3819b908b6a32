"""Networks of timm as teachers: their weights, classes and colours, and no download."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.helpers import MemorySession, small_config
from support.late import Late
from torch import Tensor, nn

from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import DistillConfig, ResolvedConfig
from ffl_ray.data.dataset import DatasetInfo
from ffl_ray.distill.check import check_config
from ffl_ray.distill.outside import file_of, opened
from ffl_ray.errors import SettingError
from ffl_ray.exported.about import code_named_in
from ffl_ray.training.worker import run_worker

timm = Late("timm")
NAME = "timm:test_resnet.r160_in1k"  # whose images were normalised by .5, not as ImageNet's are
SHAPE = (3, 32, 32)
HALF = (0.5,) * 3


def info_of(num_classes: int) -> DatasetInfo:
    return DatasetInfo(tuple(map(str, range(num_classes))), HALF, (0.25,) * 3, 4, flip=True)


def settings_of(**settings: object) -> DistillConfig:
    named = {"method": "dml", "teacher": NAME} | settings
    return DistillConfig.model_validate(named)


def drawn(num_classes: int) -> nn.Module:
    """A network of timm with random weights and statistics that matter."""
    torch.manual_seed(num_classes)
    network: nn.Module = timm.create_model("test_resnet", num_classes=num_classes)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.normal_()
    return network.eval()


def images() -> Tensor:
    return torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_weights_of_a_file_are_given_images_of_timms_own_colours(
    tmp_path: Path, ending: str
) -> None:
    network, file = drawn(100), tmp_path / f"weights{ending}"
    if ending == ".pt":
        torch.save(network.state_dict(), file)
    else:
        save_file(network.state_dict(), file)
    settings = settings_of(teacher_file=str(file))

    with torch.no_grad():
        found = opened(settings, info_of(100), SHAPE).eval()(images())
        expected = network((images() - 0.5) / 0.5)
        grey = opened(settings, info_of(100), (1, 32, 32)).eval()(images()[:, :1])

    assert torch.equal(found, expected)
    assert grey.shape == (2, 100)
    with pytest.raises(SettingError, match=rf"_file: .*weights{ending} must hold a state dict of"):
        opened(settings, info_of(10), SHAPE)


def published_at(hub: Path, place: str) -> Path:
    """Published weights, put into torch's folder or in the hub's cache as it keeps them."""
    if place == "torch":
        file = hub / "test_resnet.r160_in1k.safetensors"
    else:
        repository = hub.parents[1] / "hf" / "models--timm--test_resnet.r160_in1k"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("0" * 40)
        file = repository / "snapshots" / ("0" * 40) / "model.safetensors"
        file.parent.mkdir(parents=True)
    save_file(drawn(1000).state_dict(), file)
    return file


@pytest.mark.parametrize("place", ["torch", "cache"])
def test_published_weights_are_those_that_are_here(hub: Path, place: str) -> None:
    file = published_at(hub, place)

    with torch.no_grad():
        found = opened(settings_of(), info_of(1000), SHAPE).eval()(images())
        expected = drawn(1000)((images() - 0.5) / 0.5)

    assert torch.equal(found, expected)
    assert file_of(settings_of()) == file
    with pytest.raises(SettingError, match="and the published weights of .* know 1000: give oth"):
        opened(settings_of(), info_of(10), SHAPE)
    file.unlink()
    message = rf"^distill.teacher: the weights of {NAME} are not here, and a teacher downloads none"
    with pytest.raises(SettingError, match=message):
        opened(settings_of(), info_of(1000), SHAPE)


def taught(**settings: object) -> ResolvedConfig:
    small: dict[str, object] = {
        "distill__teacher": NAME,
        "distill__method": "dml",
        "data__fraction": 0.1,
        "optim__epochs": 1,
        "objective": "ensemble.accuracy",
    }
    return small_config(**small | settings)


def test_it_teaches_a_training(tmp_path: Path) -> None:
    torch.save(drawn(10).state_dict(), tmp_path / "weights.pt")
    config = taught(distill__teacher_file=str(tmp_path / "weights.pt"))
    session = MemorySession()

    check_config(config)
    run_worker(config, session)

    assert session.rows[-1]["loss.own_names"] == "teacher_to_branches.0,teacher_to_branches.1"
    assert code_named_in(flatten(config)) == []
    named = ("torchvision:resnet18", "timm:test_resnet")
    assert [code_named_in({"distill.teacher": name}) for name in named] == [[], []]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distill__teacher": "timm:test_resnet.r161_in1k"},
         r"^distill.teacher: timm has no network .*; the nearest known is 'timm:test_resnet.r160"),
        ({"distill__teacher": "timm:botnet50ts_256"},
         "^distill.teacher_file must be given: timm has no weights of timm:botnet50ts_256"),
        ({}, "^distill.teacher: the weights of timm:test_resnet.r160_in1k are not here, .* put "),
        ({"distill__teacher_file": "nowhere.pt"},
         "^distill.teacher must be .*timm:NAME, and .*nowhere.pt is not there"),
    ],
)  # fmt: skip
def test_what_can_not_teach_is_refused_in_one_line(
    hub: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingError, match=message) as refused:
        check_config(taught(**changes))

    assert "\n" not in str(refused.value)


def test_images_of_a_size_that_it_does_not_take_are_refused(tmp_path: Path) -> None:
    network = timm.create_model("vit_tiny_patch16_224", num_classes=10)
    torch.save(network.state_dict(), tmp_path / "vit.pt")
    named = {"teacher": "timm:vit_tiny_patch16_224", "teacher_file": str(tmp_path / "vit.pt")}
    settings = settings_of(**named)

    with pytest.raises(SettingError, match=r"must take images of 3 x 32 x 32.* does not \(.*224"):
        opened(settings, info_of(10), SHAPE)


def test_without_timm_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setattr("ffl_ray.models.families.timm_nets.names", list)

    message = r'^distill.teacher: timm:test_resnet.r160_in1k needs the package timm: pip install "f'
    with pytest.raises(SettingError, match=message):
        check_config(taught())
