"""A teacher from outside: whatever the method, it teaches and stays what it was."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from support.compared import assert_same_weights, weights, without_times
from support.helpers import MemorySession, small_config
from support.late import Late
from support.reference import given, random_output, reference_kl
from support.teachers import exported
from torch import Tensor

from ffl_ray.config.methods import METHODS, resolved_distill
from ffl_ray.config.settings import DistillConfig, ResolvedConfig
from ffl_ray.data.dataset import DatasetInfo
from ffl_ray.data.folder import IMAGENET_MEAN, IMAGENET_STD
from ffl_ray.data.loader import load_train_val
from ffl_ray.distill.check import check_config
from ffl_ray.distill.outside import opened
from ffl_ray.distill.registry import loss_terms_of
from ffl_ray.distill.teacher import TEACHER, Teacher
from ffl_ray.distill.terms import Term
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.exported.about import CONFIG, SAFETENSORS
from ffl_ray.exported.member import load_member
from ffl_ray.training.setup import prepare
from ffl_ray.training.worker import run_worker

models = Late("torchvision.models")
HUNDRED = DatasetInfo(tuple(map(str, range(100))), (0.5,) * 3, (0.25,) * 3, 4, flip=True)
LABELS = torch.tensor([3, 1, 4, 1, 5, 9])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("models") / "teacher")


def taught(model: Path, **settings: object) -> ResolvedConfig:
    small = {
        "distill__teacher": str(model),
        "distill__method": "dml",
        "data__fraction": 0.2,
        "optim__epochs": 2,
        "objective": "deployed.accuracy",
    }
    return small_config(**small | settings)


def trained(config: ResolvedConfig, files: dict[str, bytes] | None = None) -> MemorySession:
    session = MemorySession(files)
    run_worker(config, session)
    return session


@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_it_teaches_the_members_of_every_method_by_a_loop_in_float64(
    method: str, views: bool
) -> None:
    output = given(method, random_output(3))
    generator = torch.Generator().manual_seed(9)
    shape = (4, 6, 10) if views else (6, 10)
    logits = torch.randn(*shape, dtype=torch.float64, generator=generator)
    output = output._replace(read={TEACHER: logits.requires_grad_()})
    found: dict[str, Term] = {}
    for target in ("branches", "fused"):
        named = {"method": method, "teacher": "torchvision:resnet18", "teacher_weight": 0.3}
        settings = DistillConfig.model_validate(
            named | {"teacher_to": target, "teacher_temperature": 4}
        )
        if target == "branches" or output.fused is not None:
            found |= loss_terms_of(resolved_distill(settings))(output, LABELS)

    own = loss_terms_of(resolved_distill(DistillConfig(method=method)))(output, LABELS)

    others = {name: term for name, term in found.items() if name not in own}
    expected = {
        f"teacher_to_branches.{k}": reference_kl(z, logits[k] if views else logits, 4, 0)
        for k, z in enumerate(output.branches)
    }
    if output.fused is not None:
        seen = (logits[0] + logits[1] + logits[2]) / 3 if views else logits
        expected["teacher_to_fused"] = reference_kl(output.fused, seen, 4, 0)
    assert {n: t.value.item() for n, t in others.items()} == pytest.approx(expected, abs=1e-12)
    assert {(term.weight, term.schedule) for term in others.values()} == {(0.3, "none")}
    assert not any(term.value.requires_grad for term in others.values())
    assert found.keys() - others.keys() == own.keys()
    for name, term in own.items():
        if output.helpers is None:  # whose batch norm follows each call
            assert found[name].value.item() == term.value.item()


def test_its_logits_are_the_exported_models_of_the_same_images_in_every_view(model: Path) -> None:
    config = taught(model, distill__temperature=2)
    training = prepare(config, MemorySession())
    info = load_train_val(config.data).info
    pixels = torch.rand(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(x).reshape(1, -1, 1, 1) for x in (info.mean, info.std))
    training.network.train()

    views = training.network((pixels - mean) / std)
    single = training.network((pixels[1] - mean) / std)

    alone = load_member(model)
    expected = torch.stack([alone(view) for view in pixels])
    torch.testing.assert_close(views.read[TEACHER], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(single.read[TEACHER], expected[1], atol=1e-5, rtol=1e-5)
    assert training.network.eval()(pixels[0]).read == {}
    with torch.no_grad():
        value = loss_terms_of(config.distill)(single, torch.arange(5))["teacher_to_branches.0"]
    by_hand = reference_kl(single.branches[0], expected[1], 2, 0)
    assert value.value.item() == pytest.approx(by_hand, rel=1e-4)


def test_a_training_holds_its_digest_alone_and_goes_on_bit_for_bit(
    model: Path, tmp_path: Path
) -> None:
    config = taught(model, distill__views=True)
    whole, stopped = MemorySession(), MemorySession(stop_after=1)
    run_worker(config, whole)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)
    kept = dict(stopped.files)

    resumed = trained(config, stopped.files)

    assert without_times(resumed.rows[-1:]) == without_times(whole.rows[-1:])
    assert_same_weights(weights(resumed.files), weights(whole.files))
    names = [name for name in weights(whole.files) if name.startswith("helpers")]
    assert names == [f"helpers.{TEACHER}.digest"]
    assert whole.rows[-1]["loss.own_names"] == "teacher_to_branches.0,teacher_to_branches.1"
    state = torch.load(io.BytesIO(whole.files["latest.pt"]), weights_only=True)
    assert len(state["optimizer"]["state"]) == len(list(parameters(config)))
    (model / SAFETENSORS).rename(tmp_path / SAFETENSORS)
    try:
        exported(tmp_path / "other", seed=1)
        (tmp_path / "other" / SAFETENSORS).rename(model / SAFETENSORS)
        with pytest.raises(StudyError, match="distill.teacher must be the model that the train"):
            trained(config, kept)
    finally:
        (tmp_path / SAFETENSORS).rename(model / SAFETENSORS)


def parameters(config: ResolvedConfig) -> list[Tensor]:
    return list(prepare(config, MemorySession()).network.parameters())


def test_a_teacher_without_weight_changes_nothing(model: Path) -> None:
    settings = {"optim__epochs": 1, "distill__method": "ffl", "distill__teacher_to": "fused"}
    plain = small_config(
        data__fraction=0.2, distill__method="ffl", objective="deployed.accuracy", optim__epochs=1
    )

    silent = weights(trained(taught(model, distill__teacher_weight=0, **settings)).files)
    loud = weights(trained(taught(model, **settings)).files)

    expected = weights(trained(plain).files)
    assert silent.keys() - expected.keys() == {f"helpers.{TEACHER}.digest"}
    assert all(torch.equal(silent[name], value) for name, value in expected.items())
    assert not all(torch.equal(loud[name], value) for name, value in expected.items())


def test_torchvisions_networks_teach_with_weights_of_a_file_or_of_the_hubs_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = models.get_model("squeezenet1_1", weights=None, num_classes=100).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    thousand = models.get_model("squeezenet1_1", weights=None).eval()
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    published = tmp_path / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    torch.save(thousand.state_dict(), published)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(x).reshape(1, 3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    named = {"method": "dml", "teacher": "torchvision:squeezenet1_1"}
    file = named | {"teacher_file": str(tmp_path / "weights.pt")}
    info = HUNDRED._replace(classes=tuple(map(str, range(1000))))

    with torch.no_grad():
        found = opened(DistillConfig.model_validate(file), HUNDRED, (3, 32, 32)).eval()(images)
        hubs = opened(DistillConfig.model_validate(named), info, (3, 32, 32)).eval()(images)
        expected = [net((images - mean) / std) for net in (network, thousand)]

    assert torch.equal(found, expected[0])
    assert torch.equal(hubs, expected[1])
    with pytest.raises(SettingError, match="and the published weights of .* know 1000: give oth"):
        opened(DistillConfig.model_validate(named), HUNDRED, (3, 32, 32))
    with pytest.raises(SettingError, match=r"teacher_file: .*weights.pt must hold a state dict of"):
        opened(DistillConfig.model_validate(file), info, (3, 32, 32))
    with pytest.raises(SettingError, match=r"teacher must take images of 3 x 8 x 8, .* does not"):
        opened(DistillConfig.model_validate(file), HUNDRED, (3, 8, 8))
    published.unlink()
    with pytest.raises(SettingError, match=r"distill.teacher: the weights of torchvision:squee"):
        opened(DistillConfig.model_validate(named), info, (3, 32, 32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distill__teacher": "nowhere"},
         r"teacher must be a folder that ffl_ray.export wrote, .*nowhere.model.safetensors"),
        ({"distill__teacher": "torchvision:resnet19"},
         r"networks have no 'torchvision:resnet19'.*resnet18"),
        ({"distill__teacher_to": "fused"},
         r"teacher_to must be branches for distill.method dml, which has no fused classifier"),
        ({"distill__teacher": None, "distill__teacher_weight": 0.5},
         r"distill.teacher_weight must be 1.0 where distill.teacher is none, not 0.5"),
        ({"distill__teacher_file": "weights.pt"},
         r"teacher_file must be none for a teacher that is a folder, .*teacher, which holds its"),
        ({"data__name": "cifar100"},
         r"teacher must take images of 3 x 32 x 32, as the data are, and it takes 1 x 8 x 8"),
    ],
)  # fmt: skip
def test_a_teacher_that_can_not_teach_is_refused_before_anything_trains(
    model: Path, changes: dict[str, object], message: str
) -> None:
    check_config(taught(model))
    with pytest.raises(SettingError, match=message):
        check_config(taught(model, **changes))


def test_an_export_of_what_it_taught_names_no_place_of_this_machine(
    model: Path, tmp_path: Path
) -> None:
    folder = exported(tmp_path / "student", distill__teacher=str(model))

    text = (folder / CONFIG).read_text()

    assert str(model.parent) not in text
    assert '"distill.teacher": "teacher"' in text
    assert load_member(folder)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_a_teacher_of_other_classes_or_a_damaged_one_is_refused(model: Path) -> None:
    config = taught(model)
    info = load_train_val(config.data).info
    teacher = Teacher(config.distill, 10)

    with pytest.raises(SettingError, match=r"in their order, and .*teacher has '0' where .* '1'"):
        teacher.open(info._replace(classes=info.classes[1:] + info.classes[:1]), (1, 8, 8))
    with pytest.raises(SettingError, match="must know the 9 classes of the data, not 10"):
        teacher.open(info._replace(classes=info.classes[1:]), (1, 8, 8))
    assert not teacher.digest.any()
    assert torch.equal(teacher(torch.ones(2, 5, 1, 8, 8)), torch.zeros(2, 5, 10))
