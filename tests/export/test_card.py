"""What stands in a card: a program that runs as it is, every class, and how to train again."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from PIL.ExifTags import Base
from support.exported import SOURCE, Exported

from ffl_ray import predict
from ffl_ray.config.overrides import parse_assignments, with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.export import card
from ffl_ray.export.card_classes import MOST_CLASSES
from ffl_ray.export.check import Difference
from ffl_ray.export.example import examples
from ffl_ray.export.member import describe
from ffl_ray.exported.about import About
from ffl_ray.files import with_tilde
from ffl_ray.results import load
from ffl_ray.results.classes import Classes, classes_of
from ffl_ray.results.reader import find_study

WRITTEN = card.Written({"model.onnx": 1}, {}, {"model.onnx": Difference(0, 0, 1)}, [])


def run_example(code: str, folder: Path, photo: Path) -> None:
    """Run a card's program as it stands, but for its two places; it needs neither torch nor us."""
    assert not {"torch", "ffl_ray"} & {*re.findall(r"\w+", code)}
    exec(code.replace("FOLDER", str(folder)).replace("PHOTO", str(photo)), {})


@pytest.mark.parametrize("member", ["fused", "branch2"])
def test_the_cards_program_names_the_class_that_predict_names(
    member: str, exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, photo = exported.folders[member], tmp_path / "digit.png"
    code = re.findall(r"```python\n(.*?)\n```", (folder / "README.md").read_text(), re.DOTALL)[0]
    for number, pixels in enumerate(exported.trained.data.val.pixels[:6]):
        wide = torch.nn.functional.pad(pixels[:, :, 0], (number, 0))
        Image.fromarray(wide.numpy()).save(photo)
        assert predict.main([str(folder), str(photo)]) == 0
        said = capsys.readouterr().out.split("  ")[1].split()[0]

        run_example(code, folder, photo)

        assert capsys.readouterr().out == f"{said}\n"


def test_the_program_gives_a_colour_photos_middle_square(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The graph takes the mean of each channel for that class's logit."""
    shape: list[str | int | None] = ["batch", 3, 8, 8]
    mean = helper.make_node("ReduceMean", ["images"], ["logits"], axes=[2, 3], keepdims=0)
    graph = helper.make_graph(
        [mean],
        "mean",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    (tmp_path / "labels.txt").write_text("röt\ngreen\nblue\n", encoding="utf-8")
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, :, 2] = 255
    pixels[:, 20:40] = (255, 0, 0)
    on_its_side = Image.Exif()
    on_its_side[Base.Orientation] = 6
    stored = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "photo.png", exif=on_its_side)
    about = About("fused", {}, (3, 8, 8), ("röt", "green", "blue"), (0.5,) * 3, (0.5,) * 3)

    run_example(examples(about, ["model.onnx"])[0], tmp_path, tmp_path / "photo.png")

    assert capsys.readouterr().out == "röt\n"


def test_the_labels_are_a_line_each(exported: Exported) -> None:
    text = (exported.folders["fused"] / "labels.txt").read_text()

    assert text.splitlines() == list(exported.trained.data.info.classes)


def test_the_card_has_every_class_as_the_table_has_it(exported: Exported) -> None:
    folder = exported.folders["branch1"]
    text = (folder / "README.md").read_text()
    found = classes_of(find_study("mixed", str(exported.storage_path)), ["00000"], "branch1")
    frame = load("mixed", str(exported.storage_path)).classes
    rows = frame[frame.member == "branch1"]

    assert found is not None
    assert sum(found.images) == len(exported.trained.data.val) == rows.images.sum()
    for row in rows.itertuples():
        assert f"\n| {row.class_index} | {row.images} | {row.accuracy:.4f} |\n" in text
    true, taken_for = found.mistakes()[0]
    pair = f"| {true} | {taken_for} | {found.counts[true, taken_for]} of {found.images[true]} |"
    assert f"{pair} ![](confused-1.jpg) |" in text
    assert (folder / "confused-1.jpg").read_bytes() == found.pictures[true, taken_for]
    of_metadata = json.loads((folder / "metadata.json").read_text())["per_class"]
    assert [one["images"] for one in of_metadata] == found.images


def test_of_a_thousand_classes_a_card_has_the_hardest(exported: Exported) -> None:
    names = [f"n{index:04d}" for index in range(1000)]
    counts = Counter({(i, i): i for i in range(1000)}) + Counter(
        {(i, 0): 1 for i in range(1, 1000)}
    )
    images = [sum(n for (true, _), n in counts.items() if true == i) for i in range(1000)]
    source = SOURCE._replace(classes=Classes(names, images, counts, {}))
    about = describe(exported.trained.config, "fused", exported.trained.data)

    text = card.card(about, source, WRITTEN)

    section = text[text.index("## Class by class") : text.index("## Input")]
    assert f"the {MOST_CLASSES} hardest of 1000" in section
    assert section.count("\n| n0") == MOST_CLASSES + 5
    assert "On the validation split, the hardest first, the 50 hardest of 1000." in section


def test_how_to_train_again_names_the_data_folder(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = with_overrides(Config(), {"data.name": "folder", "data.dir": str(tmp_path / "my ph")})
    from ffl_ray.export.trained import retrain_command

    place = with_tilde(str(config.data.dir))
    again = with_overrides(config, {"data.dir": place})
    words = shlex.split(retrain_command(again, "s"))

    assert place == "~/my ph"
    assert parse_assignments([w for w in words if "=" in w])["data.dir"] == "~/my ph"
    assert with_tilde("/elsewhere/x") == "/elsewhere/x"
    assert with_tilde("photos") == "photos"
