"""What a plan says of a folder: its test split, and what is passed over; a wrong one is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from ffl_ray.config.settings import Config, DataConfig
from ffl_ray.data.folder import notes
from ffl_ray.data.loader import load_train_val
from ffl_ray.errors import DataError
from ffl_ray.planning.data_check import data_facts


def make_folder(root: Path, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(10):
            colour = (40 * label + index, 100, 200)
            Image.new("RGB", (20, 16), colour).save(root / name / f"{index}.png")
    return root


def folder(root: Path) -> DataConfig:
    return DataConfig(name="folder", dir=str(root), image_size=12, val_fraction=0.25)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("train", "val"), "test split: val/ beside train/, 20 images; only confirm opens it"),
        (("train",), "no test split: a search needs none, and confirm does: test/ or val/ beside"),
        (("",), "test split: a fifth of every class is set aside, 4 images; only confirm opens it"),
    ],
)
def test_a_folder_says_what_its_test_split_is_and_what_it_passes_over(
    parts: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    for part in parts:
        make_folder(tmp_path / part)
    (tmp_path / parts[0] / "cat" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / parts[0] / "dog" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "LICENSE").write_text("mine")

    first, second = notes(folder(tmp_path))

    assert first.startswith(said)
    assert second == "passed over, no images: 1 .db, 1 hidden, 1 without an ending"


def test_images_of_a_kind_that_is_not_read_are_counted_with_what_to_do(tmp_path: Path) -> None:
    """HEIC is what a phone hands over; a class that loses half its photos is to be seen."""
    make_folder(tmp_path)
    for name in ("a.HEIC", "b.heic", "c.gif", "d.NEF", "list.txt"):
        (tmp_path / "cat" / name).write_bytes(b"x")

    assert notes(folder(tmp_path))[1:] == (
        "passed over, images that are not read: 1 .gif, 2 .heic, 1 .nef; convert them to JPEG or "
        "PNG first",
        "passed over, no images: 1 .txt",
    )


def test_a_class_of_heic_alone_is_refused_by_its_kind(tmp_path: Path) -> None:
    make_folder(tmp_path)
    for file in (tmp_path / "cat").iterdir():
        file.rename(file.with_suffix(".HEIC"))

    with pytest.raises(DataError, match=r"cat must hold .*, and holds 10 \.heic: convert them to"):
        load_train_val(folder(tmp_path))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("cat", "dogs"), "val must hold the class folders of train/, and lacks 'dog' and holds"),
        (("cat", "cow", "dog"), "class folders of train/, and holds 'cow' as well"),
        ((), "val holds 0"),
    ],
)
def test_a_search_refuses_a_test_split_of_other_classes_before_it_trains(
    classes: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    make_folder(tmp_path / "train")
    (tmp_path / "val").mkdir()
    make_folder(tmp_path / "val", classes=classes)

    with pytest.raises(DataError, match=message):
        data_facts(Config(data=folder(tmp_path)))


def test_the_images_of_a_test_split_are_those_of_its_classes(tmp_path: Path) -> None:
    for part in ("train", "test"):
        make_folder(tmp_path / part)
    shutil.copy(tmp_path / "test" / "cat" / "0.png", tmp_path / "test" / "contact-sheet.png")

    first, *_ = notes(folder(tmp_path))

    assert first == "test split: test/ beside train/, 20 images; only confirm opens it"
