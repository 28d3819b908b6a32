"""Data that changed, or moved, between two calls of one command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.streamed import write_jpegs

from ffl_ray import train
from ffl_ray.data.facts import DataFacts, differences
from ffl_ray.errors import DataError, StudyError
from ffl_ray.export.trained import load_trained
from ffl_ray.results.reader import find_study, load, records

SMALL = {
    "data.name": "folder", "data.image_size": "8", "data.val_fraction": "0.25", "optim.epochs": "1",
    "model.mix": "resnet8", "distill.method": "independent", "optim.batch_size": "8",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage path with a folder of images, and a study trained on them."""
    root = tmp_path_factory.mktemp("changed data")
    write_jpegs(root / "images", classes=("ant", "bee", "cat"))
    assert again(root, root / "images") == 0
    return root


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """The same, for one test: the study, its images, and these moved."""
    shutil.copytree(trained / "study", tmp_path / "study")
    shutil.copytree(trained / "images", tmp_path / "images")
    return tmp_path


def again(root: Path, images: Path, *more: str) -> int:
    options = [word for item in SMALL.items() for word in ("--set", "=".join(item))]
    named = ["--name", "study", "--storage-path", str(root), "--data-dir", str(images)]
    return train.main([*options, *named, *more])


def rename_class(images: Path) -> None:
    (images / "bee").rename(images / "wasp")


def add_class(images: Path) -> None:
    write_jpegs(images, classes=("dog",))


def add_photo(images: Path) -> None:
    shutil.copy(images / "cat" / "0.jpg", images / "cat" / "new.jpg")


def change_photo(images: Path) -> None:
    for name in range(12):
        shutil.copy(images / "ant" / f"{name}.jpg", images / "cat" / f"{name}.jpg")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename_class, "class 'wasp' is new; class 'bee' is gone"),
        (add_class, "class 'dog' is new"),
        (add_photo, "cat: 13 images, were 12"),
        (change_photo, "cat: other images than before, or other names of them"),
    ],
)
def test_changed_data_are_refused_in_one_line_that_says_what_changed(
    change: object, message: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(change)
    change(copied / "images")
    before = (copied / "study" / "study.json").read_bytes()

    status = again(copied, copied / "images")

    assert status == 2
    shown = capsys.readouterr().err
    assert f"goes on only with the data it began with, and {message}: give the same" in shown
    assert shown.count("\n") == 1
    assert (copied / "study" / "study.json").read_bytes() == before
    trial = records(load("study", str(copied)).trials)[0]
    with pytest.raises((StudyError, DataError), match=message):
        load_trained(find_study("study", str(copied)), trial, 1, str(copied / "images"))


def test_data_that_moved_go_on_and_are_found_again(copied: Path, trained: Path) -> None:
    assert again(copied, copied / "images") == 0

    kept = json.loads((copied / "study" / "study.json").read_text())
    assert kept["settings"]["data.dir"] == str(copied / "images")
    assert kept["data"]["classes"] == ["ant", "bee", "cat"]
    assert kept["data"]["counts"] == [12, 12, 12]


def test_a_study_of_the_version_before_is_given_the_facts_that_it_lacks(copied: Path) -> None:
    place = copied / "study" / "study.json"
    whole = json.loads(place.read_text())
    old = ("split_hash", "num_train", "num_val", "num_classes")
    place.write_text(json.dumps(whole | {"data": {name: whole["data"][name] for name in old}}))

    assert again(copied, copied / "images") == 0

    assert json.loads(place.read_text())["data"] == whole["data"]


def test_what_no_facts_are_is_refused() -> None:
    for wrong in ({"classes": "ab"}, {"counts": [1.5]}, {"num_train": "x"}, {"skipped": ["a"]}):
        with pytest.raises(ValueError, match="of the data, "):
            differences(wrong, DataFacts())
