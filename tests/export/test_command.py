"""Exports as a command writes them: whole or not there at all, and what is refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from support.exported import SOURCE, Exported, tiny_trained
from support.forked import run
from support.helpers import ROOT

from ffl_ray import train
from ffl_ray.config.settings import Config
from ffl_ray.errors import DataError, ExportError
from ffl_ray.export import __main__ as export
from ffl_ray.export import card, formats
from ffl_ray.export.check import TOLERANCE, Difference
from ffl_ray.export.folder import export_member
from ffl_ray.export.speed import FULL, speeds
from ffl_ray.export.trained import load_trained
from ffl_ray.exported.member import Member
from ffl_ray.models.cost import count_parameters
from ffl_ray.results import load
from ffl_ray.results.reader import find_study, records
from ffl_ray.results.schema import config_columns, row_config

MODELS = ["model.onnx", "model.pt2", "model.safetensors"]
FILES = ["README.md", "config.json", "labels.txt", "metadata.json", *MODELS]


def test_a_folder_holds_its_files_readable_by_all(exported: Exported) -> None:
    folder = exported.folders["fused"]

    names = sorted(path.name for path in folder.iterdir())
    pictures = [name for name in names if re.fullmatch(r"confused-\d.jpg", name)]
    assert sorted({*names} - {*pictures}) == FILES
    assert 0 < len(pictures) <= 4
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert len(modes) == 1
    assert [path.name for path in folder.parent.glob(".*")] == []


def test_an_export_tells_what_it_wrote(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small = ["model.mix=2*support.tiny_nets:narrow", "data.fraction=0.1", "optim.epochs=1"]
    options = [word for setting in small for word in ("--set", setting)]
    assert train.main([*options, "--name", "tiny", "--storage-path", str(tmp_path)]) == 0
    capfd.readouterr()
    exported = ["--out", str(tmp_path / "o"), "--format", "safetensors"]
    place = ["--storage-path", str(tmp_path), *exported]

    assert export.main(["tiny", "--member", "branch0", "--table", "--json", *place]) == 0

    out, err = capfd.readouterr()
    found = json.loads(out)
    page = (ROOT / "docs/json.md").read_text()
    assert all(f"`{name}`" in page for name in found)
    assert set(found) >= {"study", "location", "folder", "member", "note", "files", "speeds"}
    assert (found["status"], found["member"]["member"]) == (0, "branch0")
    assert (
        Path(found["folder"], "model.safetensors").stat().st_size
        == (found["files"]["model.safetensors"]["bytes"])
    )
    names = [speed["name"] for speed in found["speeds"]]
    assert [line for line in err.splitlines() if line.startswith("measured")] == [
        f"measured {name}, {place} of {len(names)}" for place, name in enumerate(names, start=1)
    ]


def test_card_and_metadata_say_what_the_tables_say(exported: Exported) -> None:
    folder = exported.folders["branch2"]
    results = load("mixed", str(exported.storage_path))
    trial = records(results.trials)[0]
    best = results.members[results.members.checkpoint == "best"].set_index("member")

    found = json.loads((folder / "metadata.json").read_text())
    text = (folder / "README.md").read_text()

    assert found["validation"]["accuracy"] == best.accuracy["branch2"]
    assert found["validation"]["epoch"] == trial["best_epoch"]
    assert found["source"]["split_hash"] == trial["split_hash"]
    assert found["model"] == {
        "member": "branch2",
        "backbone": "wrn10_1",
        "parameters": int(best.parameters["branch2"]),
        "macs": int(best.macs["branch2"]),
    }
    assert found["test"] is None
    assert all(file["logits"] <= TOLERANCE for file in found["files"].values())
    for words in (
        f"| accuracy | {best.accuracy['branch2']:.4f} |",
        "Test accuracy: not known.",
        "float32 [batch, 1, 8, 8], grey",
        "subtracts [0.3053] and divides by [0.376]",
        "Classes in order: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9.",
        trial["split_hash"],
        "model.mix=2*resnet8+wrn10_1",
    ):
        assert words in text
    for content in (text, json.dumps(found), (folder / "config.json").read_text()):
        assert str(exported.storage_path) not in content


def test_a_confirmed_accuracy_stands_in_the_card_with_its_interval(exported: Exported) -> None:
    from ffl_ray.confirm.tables import ConfirmedAccuracy
    from ffl_ray.export.member import describe

    source = SOURCE._replace(confirmed=ConfirmedAccuracy(0.91, 0.9, 0.92, 5))
    about = describe(exported.trained.config, "fused", exported.trained.data)
    written = card.Written({"model.onnx": 1}, {}, {"model.onnx": Difference(0, 0, 1)}, [])

    text = card.card(about, source, written)
    held = card.card(about, source._replace(held_out=True), written)

    assert "Test accuracy: 0.9100 (95% interval 0.9000 to 0.9200), n = 5: that" in text
    assert "trained again on train + val with other seeds" in text
    assert "trained again on train (without val, where something is measured) with other" in held


def test_a_file_that_differs_is_an_error_and_leaves_nothing(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_other(member: Member, trace: object, about: object, path: Path) -> None:
        with torch.no_grad():
            member.network.classifiers[0].bias.add_(1e-3)  # type: ignore[operator]
        formats.write_safetensors(member, about, path)  # type: ignore[arg-type]

    monkeypatch.setitem(formats.WRITERS, "safetensors", ("model.safetensors", write_other))
    with pytest.raises(ExportError, match=r"within 1e-05, and differs by .* nothing was exported"):
        export_member(
            exported.trained, "branch0", tmp_path / "out", ["safetensors"], SOURCE, [], print
        )

    assert list(tmp_path.iterdir()) == []


def test_a_network_that_gives_no_numbers_is_not_exported(
    exported: Exported, tmp_path: Path
) -> None:
    trained = tiny_trained("sum", exported.trained)
    with torch.no_grad():
        next(trained.network.parameters()).fill_(torch.nan)

    with pytest.raises(ExportError, match="logits that are not finite"):
        export_member(trained, "fused", tmp_path / "out", ["safetensors"], SOURCE, [], print)

    assert list(tmp_path.iterdir()) == []


def test_what_an_exporter_can_not_take_is_one_line(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setitem(formats.WRITERS, "onnx", ("model.onnx", refuse))
    with pytest.raises(ExportError, match=r"^onnx can't take .*RuntimeError: no kernel for this"):
        export_member(exported.trained, "branch0", tmp_path / "out", ["onnx"], SOURCE, [], print)

    assert list(tmp_path.iterdir()) == []


def test_one_format_is_written_alone_without_a_word_on_stderr(study: Path, tmp_path: Path) -> None:
    options = ["--pick", "knee", "--format", "onnx", "--out", str(tmp_path / "out")]

    done = run("export", "mixed", *options, "--storage-path", str(study))

    assert (done.returncode, done.stderr) == (0, "")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name for name in names if not name.startswith("confused-")] == FILES[:5]
    assert "differs by at most" in done.stdout


def test_a_folder_that_is_there_is_left_alone(
    exported: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(exported.folders["fused"])

    status = export.main(["mixed", "--out", out, "--storage-path", str(exported.storage_path)])

    assert status == 2
    assert f"--out must be a new folder, and {out} is there" in capsys.readouterr().err


def test_a_lost_checkpoint_names_the_trial_and_how_to_train_it_again(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(study / "mixed", tmp_path / "mixed")
    shutil.rmtree(tmp_path / "mixed/checkpoints/00000")

    status = export.main(["mixed", "--storage-path", str(tmp_path), "--out", str(tmp_path / "o")])

    error = capsys.readouterr().err
    assert (status, len(error.splitlines())) == (2, 1)
    assert "checkpoint of trial 00000 (fused" in error
    assert "a larger search.keep_checkpoints" in error
    assert "python -m ffl_ray.train --name mixed-00000 --set data.fraction=0.5" in error


def test_of_a_version_before_the_best_checkpoint_is_exported(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "mixed", tmp_path / "mixed")
    (tmp_path / "mixed/checkpoints/00000/latest.pt").unlink()
    options = ["--storage-path", str(tmp_path), "--format", "safetensors", "--out"]

    assert export.main(["mixed", *options, str(tmp_path / "o")]) == 0

    text = (tmp_path / "o/README.md").read_text()
    assert "The same images chose the epoch and the trial (of 1 completed)" in text


def test_a_damaged_checkpoint_is_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(study / "mixed", tmp_path / "mixed")
    (tmp_path / "mixed/checkpoints/00000/latest.pt").write_bytes(b"cut")

    status = export.main(["mixed", "--storage-path", str(tmp_path), "--out", str(tmp_path / "o")])

    assert status == 2
    assert "00000/latest.pt: a checkpoint can't be read" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_checkpoint_of_another_epoch_than_the_tables_is_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(study / "mixed", tmp_path / "mixed")
    place = tmp_path / "mixed/checkpoints/00000/latest.pt"
    state = torch.load(place, weights_only=True)
    state["progress"]["epochs_done"] += 1
    torch.save(state, place)

    status = export.main(["mixed", "--storage-path", str(tmp_path), "--out", str(tmp_path / "o")])

    assert status == 2
    assert "latest.pt must be of epoch" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_data_that_are_split_otherwise_are_refused(
    study: Path,
) -> None:
    trial = records(load("mixed", str(study)).trials)[0]
    other = trial | {"data.split_seed": 1}

    with pytest.raises(DataError, match=f"split as the trial's were, {trial['split_hash']}, not"):
        load_trained(find_study("mixed", str(study)), other, 1)


def test_a_row_of_the_trials_table_gives_its_config_back(other_config: Config) -> None:
    row = config_columns(other_config)
    row["optim.lr_milestones"] = np.array(row["optim.lr_milestones"])

    assert row_config(row) == other_config


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no study here"),
        ({"study.json": "{"}, "study.json is damaged"),
        ({"study.json": '{"schema_version": 99}'}, "has schema version 99, and this ffl_ray reads"),
        ({"trials/part-00000.parquet": "PAR1"}, "part-00000.parquet can't be read"),
    ],
)
def test_a_study_that_can_not_be_read_is_one_line(
    files: dict[str, str],
    message: str,
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in files.items():
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(study / "mixed/study.json", tmp_path / "s/study.json")
        (tmp_path / "s" / name).write_text(text)

    status = export.main(["s", "--storage-path", str(tmp_path), "--out", str(tmp_path / "o")])

    error = capsys.readouterr().err
    assert (status, len(error.splitlines())) == (2, 1)
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "o").exists()


def test_members_are_measured_beside_the_full_network(exported: Exported) -> None:
    trained = tiny_trained("concat_depthwise", exported.trained)

    found = {speed.name: speed for speed in speeds(trained, ["branch0", "fused"])}

    assert list(found) == ["branch0", "fused", FULL]
    assert found[FULL].parameters == count_parameters(trained.network)
    assert found["branch0"].parameters < found["fused"].parameters < found[FULL].parameters
    assert found["branch0"].macs < found["fused"].macs < found[FULL].macs
    assert found["branch0"].file_bytes < found[FULL].file_bytes
    assert all(speed.torch_ms > 0 and speed.onnx_ms > 0 for speed in found.values())
