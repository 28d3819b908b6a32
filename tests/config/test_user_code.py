"""A user's own fusion design, method and data set: the examples train, breaches are named."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.broken_code import PARTS
from support.brought import picture
from support.forked import run
from support.helpers import ROOT, MemorySession

import ffl_ray.results
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import DataConfig, ResolvedConfig
from ffl_ray.data.dataset import Files, Images
from ffl_ray.data.loader import load_train_val, open_test
from ffl_ray.distill import user_method
from ffl_ray.distill.check import check_config
from ffl_ray.errors import DataError, FFLRayError, SettingError
from ffl_ray.models import user_fusion
from ffl_ray.models.builder import build_network
from ffl_ray.models.registry import backbone_row
from ffl_ray.models.user_backbone import check_images as check_backbone
from ffl_ray.planning.space_check import check_networks
from ffl_ray.search.space import load_space, settle
from ffl_ray.training.worker import run_worker

EXAMPLES = ROOT / "examples" / "extending"
PIECES = ("backbone", "fusion", "method", "data")
ALL_FOUR = {
    "data.name": "data:bars",
    "model.mix": "2*backbone:tiny",
    "model.trunk_stages": 1,
    "fusion.design": "fusion:Maximum",
    "distill.method": "method:fused_first",
    "optim.batch_size": 64,
    "optim.epochs": 2,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with `parts` beside the four examples, as the current one."""
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "bad_data.py").write_text(
        "from ffl_ray.data.dataset import DatasetInfo\n"
        "from ffl_ray.data.user_dataset import data_set\n"
        "data_set((1, 4, 4), DatasetInfo(('a', 'b'), (0.5,) * 3, (0.5,) * 3, 0, False))\n"
    )
    for name in (*PIECES, "photos", "space"):
        (tmp_path / f"{name}.py").write_text((EXAMPLES / f"{name}.py").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    forget()
    yield
    forget()


def forget() -> None:
    for name in (*PIECES, "photos", "parts", "bad_data"):
        sys.modules.pop(name, None)
    for cached in (check_backbone, user_fusion.check_contract, user_method.check_contract):
        cached.cache_clear()
    backbone_row.cache_clear()


def config_of(**changes: object) -> ResolvedConfig:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    base: dict[str, object] = {"model.mix": "2*resnet8", "optim.epochs": 1, "data.fraction": 0.2}
    return resolved_from(base | named)


@pytest.mark.parametrize("name", PIECES)
def test_an_example_has_at_most_twenty_lines(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 20


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "settings",
    [
        {"model.mix": "backbone:tiny+resnet8", "model.trunk_stages": 1},
        {"fusion.design": "fusion:Maximum"},
        {"distill.method": "method:fused_first"},
        {"data.name": "data:bars"},
        ALL_FOUR,
    ],
    ids=[*PIECES, "all four"],
)
def test_each_example_trains(settings: dict[str, object]) -> None:
    config = config_of(optim__batch_size=64, **settings)
    check_config(config)
    session = MemorySession()

    run_worker(config, session)

    row = session.rows[-1]
    assert row["epoch"] == config.optim.epochs
    assert 0 < row["loss.total"] < 10
    taught = "own" if config.distill.method == "method:fused_first" else "fused_to_branches"
    assert row[f"loss.{taught}"]
    assert [member["member"] for member in session.members[-1]][-1] == "fused"
    assert session.members[-1][-1]["macs"] > 0


@pytest.mark.usefixtures("here")
def test_a_training_of_own_code_goes_on_as_if_never_stopped() -> None:
    config = config_of(**ALL_FOUR)
    whole, stopped = MemorySession(), MemorySession(stop_after=1)
    run_worker(config, whole)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)

    again = MemorySession(stopped.files)
    run_worker(config, again)

    assert again.rows[-1]["loss.total"] == whole.rows[-1]["loss.total"]
    assert again.rows[-1]["val.fused.nll"] == whole.rows[-1]["val.fused.nll"]


@pytest.mark.usefixtures("here")
def test_a_space_searches_over_own_code_and_every_network_of_it_is_built_without_numbers() -> None:
    space = load_space("space.py")
    settled = settle(space, {})

    checked = check_networks(space, settled.training, random=20)

    assert checked.image == (1, 8, 8)
    assert len(checked.sizes) == 8
    assert all(size.macs > 0 for size in checked.sizes)


@pytest.mark.usefixtures("here")
def test_an_own_designs_initial_weights_are_its_own() -> None:
    config = config_of(fusion__design="parts:Good", model__mix="resnet8+wrn10_1")
    check_config(config)

    network = build_network(
        config.model, config.fusion, config.distill, image_shape=(1, 8, 8), num_classes=10, seed=0
    )

    weights = dict(network.named_parameters())
    assert (weights["fusion.design.linear.weight"] == 7).all()


@pytest.mark.usefixtures("here")
def test_a_method_says_what_it_is_made_of_and_one_that_does_not_is_built_like_ffl() -> None:
    plain, told = (
        config_of(distill__method="parts:plain"),
        config_of(distill__method="parts:without_fused"),
    )

    assert (plain.distill.temperature, plain.model.trunk_stages) == (3.0, -1)
    assert (told.distill.temperature, told.model.trunk_stages) == (3.0, 0)
    check_config(plain)
    with pytest.raises(SettingError, match="parts:without_fused has .*no fused classifier"):
        check_config(told)
    check_config(with_overrides(told, {"objective": "ensemble.nll", "model.mix": "resnet8"}))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("fusion.design", "parts", "must be 'concat_depthwise', .* or your own module:name, not"),
        ("fusion.design", "my-parts:Good", "a fusion design of your own is module:Class"),
        ("fusion.design", "no_such:Good", "no_such of no_such:Good can't be imported"),
        ("fusion.design", "parts:Goood", "must have a Class 'Goood', and has not;.*'Good'"),
        ("fusion.design", "parts:NoArgument", "called with FusionShape.*fails: TypeError"),
        ("fusion.design", "parts:a_number", "must give a torch.nn.Module, not int"),
        ("fusion.design", "parts:Squeezed", r"must give logits \[2, 3\], not \[2, 2\]"),
        ("fusion.design", "parts:Infinite", "of finite floating point numbers"),
        ("fusion.design", "parts:Listing", "must give logits .*, not list"),
        ("fusion.design", "parts:Unused", "these get none: spare.weight, spare.bias"),
        ("fusion.design", "parts:Needing3x3", r"maps \[2, 8, 1, 1\], it fails: RuntimeError"),
        ("fusion.design", "parts:Shared", "must be new at each call"),
        ("distill.method", "f", "must be 'ffl', .* or your own module:name, not 'f'"),
        ("distill.method", "parts:nowhere", "must have a function 'nowhere'"),
        ("distill.method", "parts:wrong_parts", "parts must be a .*Method, not dict"),
        ("distill.method", "parts:failing", "called, given class numbers, it fails: KeyError"),
        ("distill.method", "parts:only_numbers", "given class probabilities, it fails"),
        ("distill.method", "parts:nothing", "must return a dict of named terms"),
        ("distill.method", "parts:unknown_name", "name must be .*, not 'magic'"),
        ("distill.method", "parts:bare", "own.0 must be a Term, not Tensor"),
        ("distill.method", "parts:whole_batch", "own.0 must be one finite number"),
        ("distill.method", "parts:first_branch_alone", "every branch's logits must get a gradient"),
        ("distill.method", "parts:no_fused", "the fused logits must get a gradient"),
        ("distill.method", "parts:plain_needing", "may need stage_maps, .*, not maps"),
        ("distill.method", "parts:bringing", "may bring helpers, .*, not optimizers"),
        ("distill.method", "parts:idle_helper", "these get none: gate.weight, gate.bias"),
        ("distill.method", "parts:bare_helper", "helper gate must be a Helper of a torch.nn.Mod"),
        ("distill.method", "parts:other_optimizer", "helper gate must be sgd, .*, not 'lion'"),
        ("distill.method", "parts:ruled_by_dict", "of helper gate must be a HelperRule, not dict"),
        ("distill.method", "parts:no_hook", "after_epoch must be a function, not int"),
        ("distill.method", "parts:unknown_part", "a phase may train members, not judge"),
        ("distill.method", "parts:one_for_all", "a bool of each of 2 branches, not torch.float32"),
        ("data.name", "digit", "must be 'digits', .* or your own module:name, not 'digit'"),
        ("data.name", "parts:untold", "must be decorated by ffl_ray.data.user_dataset.data_set"),
        ("data.name", "bad_data:x", "can't be imported.*a number for each of 1 channels"),
    ],
)
def test_each_breach_is_refused_at_once_by_setting_rule_and_value(
    setting: str, value: str, message: str
) -> None:
    with pytest.raises(SettingError, match=f"^{setting}.*{message}") as refused:
        check_config(config_of(**{setting: value}))

    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", "asked for 'train', it fails: FileNotFoundError: no images.npz"),
        ("number", "must return ffl_ray.data.dataset.Images, or Files, not int"),
        ("channels_first", r"pixels must be uint8 \[images, 4, 4, 1\], not \[20, 1, 4, 4\]"),
        ("floats", "pixels must be uint8 .*, not torch.float32"),
        ("short", r"labels must be int64 \[20\] .*, not \[19\]"),
        ("int_labels", "labels must be int64 .*, not torch.int32"),
        ("grey_files", r"files of size 4 must have the image_shape \(3, 4, 4\), not \(1, 4, 4\)"),
        ("text_files", "names must be an array of bytes, not <U5"),
        ("no_files", "names must hold one image or more"),
        ("third_class", "labels must be int64 .* from 0 to 1, not from 0 to 2"),
    ],
)
def test_each_breach_of_a_data_set_is_named(name: str, message: str) -> None:
    with pytest.raises(DataError, match=f"^data.name: parts:{name}: .*{message}") as refused:
        load_train_val(DataConfig(name=f"parts:{name}"))

    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("here")
def test_an_own_test_split_stays_closed_until_it_is_asked_for() -> None:
    settings = DataConfig(name="parts:good", val_fraction=0.2)

    data = load_train_val(settings)

    assert (len(data.train), len(data.val)) == (16, 4)
    with pytest.raises(FFLRayError, match="test split can't be opened: .*nobody may look"):
        open_test(settings)


@pytest.mark.usefixtures("here")
def test_streaming_is_refused_for_images_that_are_in_memory() -> None:
    with pytest.raises(SettingError, match="auto or memory when data.name is parts:good"):
        load_train_val(DataConfig(name="parts:good", residency="stream", val_fraction=0.2))


@pytest.mark.usefixtures("here")
def test_files_of_a_users_own_data_set_are_streamed_or_kept(tmp_path: Path) -> None:
    rows = ["split,class,file"]
    for number in range(24):
        name = f"{number:02d}.png"
        (tmp_path / name).write_bytes(picture(number))
        rows.append(
            f"{'test' if number % 6 == 5 else 'train'},{'dog' if number % 2 else 'cat'},{name}"
        )
    (tmp_path / "photos.csv").write_text("\n".join(rows))
    settings = DataConfig(name="photos:listed", dir=str(tmp_path), val_fraction=0.2)

    kept = load_train_val(settings)
    streamed = load_train_val(settings.model_copy(update={"residency": "stream"}))
    test = open_test(settings)

    assert isinstance(kept.train, Images)
    assert isinstance(streamed.train, Files)
    assert streamed.info.random_crop
    assert kept.image_shape == streamed.image_shape == (3, 32, 32)
    assert torch.equal(streamed.val.pixels, kept.val.pixels)
    assert test.images.labels.tolist() == [1] * 4


@pytest.mark.usefixtures("here")
def test_the_contracts_are_checked_once_and_leave_the_random_state_alone() -> None:
    config = config_of(fusion__design="fusion:Maximum", distill__method="method:fused_first")
    torch.manual_seed(0)
    before = torch.random.get_rng_state()

    for _ in range(3):
        check_config(config)

    assert torch.equal(torch.random.get_rng_state(), before)
    assert user_fusion.check_contract.cache_info().misses == 1
    assert user_method.check_contract.cache_info().misses == 1


def test_a_trained_model_of_own_code_is_reported_and_exported(tmp_path: Path) -> None:
    sets = [word for name, value in ALL_FOUR.items() for word in ("--set", f"{name}={value}")]
    study = ["study", "--storage-path", str(tmp_path)]

    trained = run("train", *sets, "--name", *study, cwd=EXAMPLES)
    out = ["--format", "safetensors", "--out", str(tmp_path / "model")]
    exported = run("export", *study, *out, cwd=EXAMPLES)
    reported = run("report", *study, cwd=tmp_path)

    for done in (trained, exported, reported):
        assert done.returncode == 0, done.stderr
    assert "method:fused_first fusion:Maximum T=2.00 on data:bars" in trained.stdout
    assert "data:bars" in (tmp_path / "model" / "README.md").read_text()
    assert "method:fused_first" in (tmp_path / "study" / "report.html").read_text()


@pytest.mark.ray
@pytest.mark.skipif(
    "FFL_RAY_TEST_SLOW" not in os.environ, reason="a minute: FFL_RAY_TEST_SLOW=1 runs it"
)
def test_a_search_over_own_code_is_confirmed_on_its_own_test_split(tmp_path: Path) -> None:
    study = ["study", "--storage-path", str(tmp_path)]
    searched = run("tune", "space.py", "--num-samples", "2", "--name", *study, cwd=EXAMPLES)

    few = ["--top", "1", "--seeds", "1", "--baselines", "none"]
    confirmed = run("confirm", *study, *few, cwd=EXAMPLES)

    assert searched.returncode == 0, searched.stderr
    assert confirmed.returncode == 0, confirmed.stderr
    members = ffl_ray.results.load("study/confirmed", str(tmp_path)).members
    assert set(members.split) == {"test"}
    assert set(members.images) == {200}
