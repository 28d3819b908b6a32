"""Files that somebody else may have made run no code: real pickles that would make a file."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.helpers import MemorySession, run, small_config
from support.studies import make_study

from ffl_ray import predict
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, DataConfig
from ffl_ray.data import cifar
from ffl_ray.errors import DataError, ExportError, SettingError, StudyError
from ffl_ray.export import load_member
from ffl_ray.export.runner import open_model
from ffl_ray.export.trained import load_trained
from ffl_ray.exported.about import About, code_named_in
from ffl_ray.exported.checksums import check_sha256, sha256
from ffl_ray.files import read_own
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.worker import run_worker


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


def bare(marker: Path) -> bytes:
    return pickle.dumps(Payload(marker))


def by_torch(marker: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"format": 3, "network": Payload(marker)}, buffer)
    return buffer.getvalue()


HOSTILE = {"bare": bare, "by torch": by_torch}


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_payload_works_where_it_is_unpickled(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    data = HOSTILE[kind](marker)

    pickle.loads(data) if kind == "bare" else torch.load(io.BytesIO(data), weights_only=False)

    assert marker.exists()


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_training_goes_on_from_no_pickle(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    session = MemorySession({"latest.pt": HOSTILE[kind](marker)})

    if kind == "bare":  # no file of torch at all: damaged, and begun again
        run_worker(small_config(), session)
    else:
        with pytest.raises(StudyError, match="a checkpoint can't be read"):
            run_worker(small_config(), session)

    assert not marker.exists()


def test_an_export_opens_no_pickle(tmp_path: Path) -> None:
    from ffl_ray.data.loader import load_train_val

    marker = tmp_path / "ran"
    tables = make_study(tmp_path / "study")
    folder = tmp_path / "study" / "checkpoints" / "00000"
    folder.mkdir(parents=True)
    (folder / "best.pt").write_bytes(by_torch(marker))
    trial = tables.trials["00000"]
    split = load_train_val(small_config().data).split_hash

    with pytest.raises((StudyError, DataError)):
        load_trained(Storage(str(tmp_path / "study")), trial | {"split_hash": split}, 3)

    assert not marker.exists()


def pt2(marker: Path, place: Path) -> None:
    """A program whose sample inputs are the payload: torch unpickles them."""
    from torch.export import export

    program = export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    whole = io.BytesIO()
    torch.export.save(program, whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(place, "w") as new:
        for name in old.namelist():
            hit = "sample_inputs" in name
            new.writestr(name, by_torch(marker) if hit else old.read(name))


def test_predict_opens_a_pt2_only_where_it_is_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker, file = tmp_path / "ran", tmp_path / "model.pt2"
    pt2(marker, file)

    for place in (file, tmp_path):
        assert predict.main([str(place), "image.png"]) == 2
        assert "opening one runs whatever code it holds" in capsys.readouterr().err

    assert not marker.exists()
    predict.main([str(file), "image.png", "--trust"])
    assert marker.exists()


def test_a_models_own_code_is_imported_only_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil_nets.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    mix = ["evil_nets:tiny", "evil_nets:tiny"]
    settings = json.loads(json.dumps(flatten(Config()))) | {"model.mix": mix}
    about = About("fused", settings, (1, 8, 8), ("a", "b"), (0.5,), (0.5,))
    (tmp_path / "config.json").write_text(about.dump())
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")

    with pytest.raises(ExportError, match="names code outside the model, evil_nets:tiny"):
        open_model(tmp_path)
    with pytest.raises(ExportError, match="names code outside the model"):
        load_member(tmp_path)

    assert not (tmp_path / "ran").exists()
    with pytest.raises((ExportError, SettingError)):
        load_member(tmp_path, trusted=True)
    assert (tmp_path / "ran").exists()


def test_what_lies_beside_a_model_is_not_imported(tmp_path: Path) -> None:
    for name in ("onnxruntime", "numpy", "PIL", "torch"):
        (tmp_path / f"{name}.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    (tmp_path / "model.onnx").write_bytes(b"no model")

    done = run("predict", ".", "image.png", cwd=tmp_path)

    assert not (tmp_path / "ran").exists()
    assert done.returncode == 2
    assert "model.onnx can't be read (InvalidProtobuf" in done.stderr


def test_code_is_found_in_any_setting_and_torchvisions_networks_are_none() -> None:
    settings = {"a": "os:system", "model.mix": ["2*torchvision:resnet18", "x.y:z"], "d": "a: b"}

    assert code_named_in(settings) == ["os:system", "x.y:z"]
    assert code_named_in(flatten(Config())) == []


def test_published_weights_are_no_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in torch's cache is taken as it is, without a look at the hash in its name."""
    from ffl_ray.models.families import torchvision_nets

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / "squeezenet1_1-b8a52dc0.pth").write_bytes(by_torch(tmp_path / "ran"))

    with pytest.raises(SettingError, match="can't be loaded") as refused:
        torchvision_nets.build(3, name="torchvision:squeezenet1_1", pretrained=True)

    assert not (tmp_path / "ran").exists()
    assert "\n" not in str(refused.value)
    assert torchvision_nets.WEIGHTS_ONLY not in os.environ


def test_a_data_file_is_no_pickle_even_with_the_right_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = cifar.LAYOUTS["cifar100"]
    data = bare(tmp_path / "ran")
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    files = dict.fromkeys(("train", "meta"), digest)
    hit = layout._replace(train={"train": digest}, meta={"meta": digest})
    monkeypatch.setitem(cifar.LAYOUTS, "cifar100", hit)
    (tmp_path / layout.folder).mkdir()
    for name in files:
        (tmp_path / layout.folder / name).write_bytes(data)

    with pytest.raises(DataError, match="holds arrays, not"):
        cifar.open_train(DataConfig(name="cifar100", dir=str(tmp_path)))

    assert not (tmp_path / "ran").exists()


def test_a_data_file_with_another_checksum_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    (folder / "train").write_bytes(bare(tmp_path / "ran"))

    with pytest.raises(DataError, match="its md5 must be"):
        cifar.open_train(DataConfig(name="cifar100", dir=str(tmp_path)))

    assert not (tmp_path / "ran").exists()


def make_link(path: Path) -> None:
    other = path.with_name("other")
    path.rename(other)
    path.symlink_to(other)


OPEN_TO_OTHERS: dict[str, Callable[[Path], None]] = {
    "written by a group": lambda path: path.chmod(0o620),
    "written by all": lambda path: path.chmod(0o602),
    "a link": make_link,
    "gone": lambda path: path.unlink(),
    "another user's": lambda path: os.chown(path, 12345, -1),
}


@pytest.mark.parametrize("kind", OPEN_TO_OTHERS)
def test_an_error_file_that_others_could_have_written_is_not_opened(
    kind: str, tmp_path: Path
) -> None:
    if kind == "another user's" and os.getuid():
        pytest.skip("only root can give a file away")
    path = tmp_path / "error.pkl"
    path.write_bytes(b"mine")
    assert read_own(path) == b"mine"

    OPEN_TO_OTHERS[kind](path)

    assert read_own(path) is None


def test_the_text_of_a_stored_space_is_never_run(tmp_path: Path) -> None:
    """study.json holds a space's text for people; what goes on runs the user's own file."""
    from ffl_ray import results
    from ffl_ray.report import __main__ as report

    make_study(tmp_path / "study")
    file = tmp_path / "study" / "study.json"
    evil = f"open({str(tmp_path / 'ran')!r}, 'w')\ndef search_space(trial): pass\n"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"space": evil}))

    results.load(str(tmp_path / "study"))
    results.optuna_study(str(tmp_path / "study"))
    assert (
        report.main([str(tmp_path / "study"), "--format", "md", "--out", str(tmp_path / "r")]) == 0
    )

    assert not (tmp_path / "ran").exists()
    assert evil.splitlines()[0] in (tmp_path / "r").read_text()


def test_damage_of_an_export_is_found_by_its_checksum(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")
    (tmp_path / "metadata.json").write_text(json.dumps({"sha256": {"model.onnx": sha256(model)}}))
    check_sha256(model)

    model.write_bytes(b"Weights")

    with pytest.raises(ExportError, match="is damaged: its SHA-256 must be"):
        check_sha256(model)
    shutil.copy(model, tmp_path / "other.onnx")
    check_sha256(tmp_path / "other.onnx")


@pytest.mark.parametrize("flip", [0.2, 0.5, 0.8])
def test_a_flipped_bit_in_a_checkpoint_is_found(flip: float) -> None:
    from ffl_ray.training.checkpoint import dump_checkpoint, load_checkpoint
    from ffl_ray.training.progress import Progress

    network = torch.nn.Linear(200, 200)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    data = bytearray(dump_checkpoint(network, optimizer, Progress()))
    data[int(len(data) * flip)] ^= 1

    with pytest.raises(StudyError, match="damaged|can't be read"):
        load_checkpoint(bytes(data), network)


def test_a_setting_of_a_study_is_checked_like_any_other() -> None:
    with pytest.raises(SettingError):
        with_overrides(Config(), {"model.mix": "99999999999*resnet20"})
