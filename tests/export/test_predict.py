"""`python -m ffl_ray.predict` from the outside and piece by piece."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from PIL.ExifTags import Base
from support.exported import Exported
from support.helpers import run

from ffl_ray import predict
from ffl_ray.config.settings import DataConfig
from ffl_ray.data import folder
from ffl_ray.errors import ExportError
from ffl_ray.export.classify import Prediction, Unreadable, classify, image_files
from ffl_ray.export.example import examples
from ffl_ray.export.model import Model
from ffl_ray.export.runner import open_model
from ffl_ray.exported.about import About, parse_about

ABOUT = About("fused", {}, (1, 8, 8), ("dark", "bright"), (0.5,), (0.5,))


def brightness(images: np.ndarray) -> np.ndarray:
    """Logits of a model that tells dark from bright: p(bright) = sigmoid of 8 (mean - 1/2)."""
    mean = images.mean(axis=(1, 2, 3))
    found: np.ndarray = np.stack([0 * mean, 8 * (mean - 0.5)], axis=1)
    return found


MODEL = Model(ABOUT, brightness)


def save(path: Path, value: int, size: tuple[int, int] = (8, 8), mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, (value,) * len(mode) if len(mode) > 1 else value).save(path)
    return path


@pytest.fixture
def digits(exported: Exported, tmp_path: Path) -> list[Path]:
    """Five real validation images as PNG files."""
    paths = []
    for index, pixels in enumerate(exported.trained.data.val.pixels[:5]):
        paths.append(tmp_path / "digits" / f"{index}.png")
        paths[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(pixels[:, :, 0].numpy()).save(paths[-1])
    return paths


def expected_shares(exported: Exported) -> np.ndarray:
    logits = exported.logits("fused", exported.trained.data.val.pixels[:5])
    found: np.ndarray = torch.from_numpy(logits).softmax(1).numpy()
    return found


@pytest.mark.parametrize("name", ["", "model.pt2", "model.safetensors"])
def test_files_get_the_trained_members_classes_and_probabilities(
    name: str, exported: Exported, digits: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = exported.folders["fused"] / name

    trust = ["--trust"] if name.endswith(".pt2") else []

    status = predict.main([str(model), str(digits[0].parent), "--json", "--top-k", "10", *trust])

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == 0
    assert [line["path"] for line in lines] == [str(path) for path in digits]
    for line, shares in zip(lines, expected_shares(exported), strict=True):
        found = {item["class"]: item["probability"] for item in line["classes"]}
        assert np.allclose([found[str(digit)] for digit in range(10)], shares, atol=1e-5)
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_onnxruntime_classifies_without_torch(
    exported: Exported, digits: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise RuntimeError('torch was loaded')")
    model = exported.folders["fused"] / "model.onnx"

    done = run("predict", str(model), str(digits[0]), PYTHONPATH=str(tmp_path))

    best = int(expected_shares(exported)[0].argmax())
    share = expected_shares(exported)[0].max()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{digits[0]}  {best} {share:.4f}\n"


def test_csv_has_a_row_per_class_and_opens_as_a_table(
    exported: Exported, digits: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(exported.folders["fused"]), *map(str, digits[:2]), "--csv", "--top-k", "3"]

    assert predict.main(options) == 0

    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * 2
    shares = [float(row["probability"]) for row in rows[:3]]
    assert np.allclose(shares, np.sort(expected_shares(exported)[0])[::-1][:3], atol=2e-6)


def test_an_image_that_can_not_be_read_is_a_line_and_the_rest_goes_on(
    exported: Exported, digits: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, cut = tmp_path / "notes.txt", tmp_path / "cut.png"
    text.write_text("no image")
    cut.write_bytes(digits[0].read_bytes()[:60])
    (tmp_path / "empty").mkdir()
    bad = [str(text), str(cut), str(tmp_path / "gone.png"), str(tmp_path / "empty")]

    status = predict.main([str(exported.folders["fused"]), *bad, *map(str, digits)])

    out, err = capsys.readouterr()
    assert status == 1
    assert [line.split("  ")[0] for line in out.splitlines()] == [str(p) for p in digits]
    assert [line.split(": ")[1] for line in err.splitlines()] == bad
    assert "gone.png: no such file" in err
    assert "empty: the folder holds no image" in err


@pytest.mark.parametrize(
    ("value", "mode", "size", "expected"),
    [(0, "L", (8, 8), "dark"), (255, "RGB", (31, 17), "bright"), (255, "LA", (3, 90), "bright")],
)
def test_images_of_any_size_and_mode_become_the_models_input(
    value: int, mode: str, size: tuple[int, int], expected: str, tmp_path: Path
) -> None:
    path = save(tmp_path / "image.png", value, size, mode)

    (found,) = classify(MODEL, [path], top_k=2, batch_size=4)

    assert isinstance(found, Prediction)
    share = 1 / (1 + np.exp(-4))
    assert found.classes[0][0] == expected
    assert np.allclose([p for _, p in found.classes], [share, 1 - share])


def test_batches_keep_the_order_around_what_can_not_be_read(tmp_path: Path) -> None:
    values = [0, 255, 0, 255, 255]
    paths = [save(tmp_path / f"{i}.png", value) for i, value in enumerate(values)]
    gone = Unreadable(tmp_path / "gone", "not there")
    files: list[Path | Unreadable] = [
        paths[0],
        gone,
        *paths[1:3],
        tmp_path / "missing.png",
        *paths[3:],
    ]

    found = list(classify(MODEL, files, top_k=1, batch_size=2))

    assert [item.path for item in found] == [
        f.path if isinstance(f, Unreadable) else f for f in files
    ]
    names = [item.classes[0][0] for item in found if isinstance(item, Prediction)]
    assert names == [{0: "dark", 255: "bright"}[value] for value in values]


def test_folders_give_their_images_at_any_depth_in_order(tmp_path: Path) -> None:
    deep = save(tmp_path / "a" / "b" / "2.PNG", 0)
    flat = save(tmp_path / "a" / "1.jpg", 0)
    (tmp_path / "a" / "notes.txt").write_text("x")

    assert list(image_files([tmp_path / "a", deep])) == [flat, deep, deep]


def test_a_folders_images_of_a_kind_that_is_not_read_are_among_them(tmp_path: Path) -> None:
    (tmp_path / "1.HEIC").write_bytes(b"x")

    assert list(image_files([tmp_path])) == [tmp_path / "1.HEIC"]


def test_files_are_prepared_as_folder_data_is_for_training(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for index in range(5):
            path = tmp_path / "data" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (30, 21, 3), dtype=np.uint8)).save(path)
    settings = DataConfig(name="folder", dir=str(tmp_path / "data"), image_size=12)
    trained_on = {tuple(p.flatten().tolist()) for p in folder.open_train(settings).images.pixels}
    seen: list[np.ndarray] = []

    def remember(images: np.ndarray) -> np.ndarray:
        seen.extend(images)
        return np.zeros((len(images), 2))

    model = Model(ABOUT._replace(image_shape=(3, 12, 12)), remember)
    list(classify(model, image_files([tmp_path / "data"]), top_k=1, batch_size=64))

    pixels = {
        tuple(np.rint(255 * x.transpose(1, 2, 0)).astype(int).flatten().tolist()) for x in seen
    }
    assert len(trained_on) == 8
    assert trained_on <= pixels


def test_a_model_of_oblong_images_gets_them_as_its_cards_program_makes_them(
    tmp_path: Path,
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[Base.Orientation] = 6  # as a phone that was held upright writes it
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    seen: list[np.ndarray] = []

    def remember(images: np.ndarray) -> np.ndarray:
        seen.extend(images)
        return np.zeros((len(images), 2))

    about = ABOUT._replace(image_shape=(3, 12, 20))
    list(classify(Model(about, remember), [tmp_path / "photo.png"], top_k=1, batch_size=1))

    program = examples(about, ["model.onnx"])[0]
    prepared = program[program.index("photo =") : program.index("logits =")]
    values: dict[str, Any] = {"np": np, "Image": Image, "ImageOps": ImageOps}
    exec(prepared.replace("PHOTO", str(tmp_path / "photo.png")), values)
    assert seen[0].shape == (3, 12, 20)
    assert np.array_equal(seen[0], values["pixels"].transpose(2, 0, 1))


def test_a_model_without_its_onnx_file_is_run_by_torch(exported: Exported, tmp_path: Path) -> None:
    source = exported.folders["branch0"]
    for name in ("config.json", "model.safetensors"):
        shutil.copy(source / name, tmp_path / name)
    images = np.zeros((2, 1, 8, 8), dtype=np.float32)

    found = open_model(tmp_path).run(images)

    assert np.allclose(found, open_model(source).run(images), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("", None, "must hold one of model.onnx, model.safetensors, model.pt2"),
        ("gone", None, "no exported model here"),
        (
            "model.bin",
            b"",
            "a model is a folder or ends in .onnx, .safetensors, .pt2, not",
        ),
        ("model.onnx", b"cut", "model.onnx can't be read"),
        ("model.pt2", b"cut", "model.pt2 is a torch.export program"),
        ("model.safetensors", b"cut", "must hold config.json and model.safetensors"),
    ],
)
def test_what_is_no_exported_model_is_one_line(
    name: str,
    content: bytes | None,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    status = predict.main([str(tmp_path / name), "image.png"])

    error = capsys.readouterr().err
    assert (status, len(error.splitlines())) == (2, 1)
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "was not written by python -m ffl_ray.export"),
        (
            ABOUT._replace(format=99).dump(),
            "has format 99, and this ffl_ray reads up to 1",
        ),
        ("[]", "is damaged"),
        ('{"format": 1}', "is damaged .*image_shape"),
    ],
)
def test_a_description_that_can_not_be_used_says_why(text: str | None, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        parse_about(text, "config.json")


def test_a_description_comes_back_as_it_was() -> None:
    assert parse_about(ABOUT.dump(), "config.json") == ABOUT


def test_counts_below_one_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main(["model", "image.png", "--top-k", "0"]) == 2

    assert capsys.readouterr().err == "error: --top-k must be at least 1, not 0\n"
