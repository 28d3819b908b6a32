"""Hugging Face's data sets as data: saved to disk, or a folder of Parquet files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from support.brought import CLASSES, picture
from support.late import Late

from ffl_ray.config.settings import Config, DataConfig
from ffl_ray.data.dataset import Files, Images
from ffl_ray.data.hub import open_train
from ffl_ray.data.loader import load_train_val, open_test, read_all, read_test
from ffl_ray.data.streaming.image_file import Part
from ffl_ray.data.streaming.pool import LoaderPool
from ffl_ray.data.streaming.stream import served
from ffl_ray.errors import DataError, NoTestSplitError
from ffl_ray.planning.data_dir import absolute_data_dir

datasets = Late("datasets")


def settings(name: str, **changes: object) -> DataConfig:
    given = {"name": f"hf:{name}", "image_size": 8, "val_fraction": 0.25}
    return DataConfig.model_validate(given | changes)


def rows(count: int, label: Any) -> Any:
    """Images of three classes in turn, the label a number or its name."""
    numbered = isinstance(label, datasets.ClassLabel)
    return datasets.Dataset.from_dict(
        {
            "image": [{"bytes": picture(n), "path": None} for n in range(count)],
            "label": [n % 3 if numbered else CLASSES[n % 3] for n in range(count)],
        },
        features=datasets.Features({"image": datasets.Image(), "label": label}),
    )


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    datasets.disable_progress_bars()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and test splits of numbered classes, several Arrow files each."""
    root = tmp_path_factory.mktemp("hub")
    label = datasets.ClassLabel(names=list(CLASSES))
    splits = datasets.DatasetDict(train=rows(36, label), test=rows(6, label))
    splits.save_to_disk(str(root / "both"), num_shards={"train": 2, "test": 1})
    return root


def raw(files: Images | Files, position: int) -> bytes:
    assert isinstance(files, Files)
    part = files.source(position)
    assert isinstance(part, Part)
    return Path(part.path).read_bytes()[part.first : part.first + part.size]


def test_images_are_read_from_the_places_in_the_arrow_files(saved: Path) -> None:
    asked = settings("both", dir=str(saved))

    opened, test = open_train(asked), open_test(asked)
    facts = read_test(asked, load_train_val(asked).facts)

    assert opened.info.classes == CLASSES
    assert opened.images.labels.tolist() == [n % 3 for n in range(36)]
    assert all(raw(opened.images, n) == picture(n) for n in range(36))
    assert test.class_counts == facts.test_counts == (2, 2, 2)
    assert len(set(facts.contents)) == len(set(facts.test_contents)) == 3


def test_streamed_rows_give_the_pixels_that_memory_holds(saved: Path) -> None:
    asked = settings("both", dir=str(saved), augment="none")
    kept = load_train_val(asked)
    data = load_train_val(asked.model_copy(update={"residency": "stream"}))
    pool = LoaderPool(1)
    try:
        streamed = served(data.val, data.info, torch.device("cpu"), pool)
        found = torch.cat([batch.images for batch in streamed.eval_batches(batch_size=4)])
        memory = served(kept.val, kept.info, torch.device("cpu"), pool)
        expected = torch.cat([batch.images for batch in memory.eval_batches(batch_size=4)])
    finally:
        pool.close()

    assert isinstance(data.val, Files)
    assert torch.equal(found, expected)
    assert read_all(asked, data).contents == kept.facts.contents


def test_a_parquet_folder_with_named_classes_has_a_fifth_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "photos").mkdir()
    rows(30, datasets.Value("string")).to_parquet(str(tmp_path / "photos" / "all.parquet"))
    asked = settings("photos", dir=str(tmp_path))

    opened, test = open_train(asked), open_test(asked)

    assert opened.info.classes == CLASSES
    assert opened.class_counts == (10, 10, 10)
    assert (len(opened.images), test.class_counts) == (24, (2, 2, 2))
    assert all(raw(opened.images, n) in map(picture, range(30)) for n in range(24))
    assert isinstance(test.images, Images)


def test_what_can_not_be_used_is_refused_in_one_line(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    label = datasets.ClassLabel(names=list(CLASSES))
    two = rows(6, label).add_column("other", [0, 1, 2] * 2)
    two.cast_column("other", label).save_to_disk(str(tmp_path / "two"))
    rows(6, label).remove_columns("image").save_to_disk(str(tmp_path / "blind"))
    unlabelled = rows(6, datasets.Value("string")).map(lambda _: {"label": -1})
    unlabelled.save_to_disk(str(tmp_path / "unlabelled"))
    timed = rows(6, datasets.Value("string")).map(lambda _: {"label": 10**12})
    timed.save_to_disk(str(tmp_path / "timed"))
    strange = datasets.DatasetDict(a=rows(6, label), b=rows(6, label))
    strange.save_to_disk(str(tmp_path / "strange"))
    fewer = datasets.ClassLabel(names=["ant", "bee", "wasp"])
    others = datasets.DatasetDict(train=rows(9, label), validation=rows(6, fewer))
    others.save_to_disk(str(tmp_path / "others"))
    refused = {
        "two": r"one column of labels, or say .*\?label=COLUMN\); it has label, other",
        "two?label=lable": "no column 'lable'; the nearest known is 'label'",
        "two?split=x": r"behind \? may stand image, label, config, not 'split'",
        "blind": "must have one column of images",
        "unlabelled": "must be from 0 to .*, not from -1 to -1: the split may have no labels",
        "timed": "must be from 0 to 99999, not from 1000000000000 to 1000000000000",
        "strange": "one split of hf:strange must be called train, not a, b",
        "nobody/nothing": "can't be opened: .*; data.download=true fetches it from the hub",
        "no/such/folder": "there is no folder 'no/such/folder'",
    }

    for name, message in refused.items():
        with pytest.raises(DataError, match=message) as error:
            open_train(settings(name, dir=str(tmp_path)))
        assert "\n" not in str(error.value)
    with pytest.raises(NoTestSplitError, match="hold the classes of train, and lacks 'moth'"):
        open_test(settings("others", dir=str(tmp_path)))
    assert open_train(settings("two?label=other", dir=str(tmp_path))).info.classes == CLASSES


def naming(folder: Path, paths: list[str]) -> None:
    """Have a saved data set's rows name image files, as somebody else may have written them."""
    label = datasets.ClassLabel(names=list(CLASSES))
    rows(len(paths), label).save_to_disk(str(folder))
    (file,) = folder.glob("*.arrow")
    table = pa.ipc.open_stream(file.read_bytes()).read_all()
    images = pa.array([{"bytes": None, "path": path} for path in paths], table.schema[0].type)
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table.set_column(0, table.schema[0], images))


def test_a_row_names_image_files_of_its_data_sets_folder_alone(tmp_path: Path) -> None:
    own, private = tmp_path / "theirs", tmp_path / "private"
    own.mkdir()
    private.mkdir()
    for number in range(9):
        (own / f"{number}.png").write_bytes(picture(number))
    (private / "me.png").write_bytes(picture(0))
    (own / "door").symlink_to(private)
    good = [str(own / f"{number}.png") for number in range(9)]

    naming(own, good)
    with pytest.raises(DataError, match=r"own folder, .*, not at '.*/theirs/door', a link"):
        open_train(settings("theirs", dir=str(tmp_path)))
    (own / "door").unlink()
    (own / "9.png").symlink_to(own / "0.png")
    opened = open_train(settings("theirs", dir=str(tmp_path)))
    for bad in (private / "me.png", own / "../private/me.png", "x\0/me.png"):
        naming(own, [*good[:8], str(bad)])
        with pytest.raises(DataError, match="must lie in its own folder, .*, not at ") as error:
            open_train(settings("theirs", dir=str(tmp_path)))
        assert "\n" not in str(error.value)

    assert isinstance(opened.images, Files)
    assert {str(opened.images.source(n)) for n in range(len(opened.images))} <= set(good)


@pytest.mark.parametrize("name", ["train-0.arrow", "3.png", "test.parquet"])
def test_a_single_file_that_is_a_link_is_not_followed(name: str, tmp_path: Path) -> None:
    own, private = tmp_path / "theirs", tmp_path / "private"
    private.write_bytes(picture(0))
    own.mkdir()
    (own / name).symlink_to(private)

    with pytest.raises(DataError, match=rf"own folder, .*theirs, not at '.*{name}', a link"):
        open_train(settings("theirs", dir=str(tmp_path)))


def test_a_saved_data_set_lists_arrow_files_of_its_own_folder_alone(
    saved: Path, tmp_path: Path
) -> None:
    rows(3, datasets.ClassLabel(names=list(CLASSES))).save_to_disk(str(tmp_path / "theirs"))
    state = tmp_path / "theirs" / "state.json"
    (private,) = (saved / "both" / "test").glob("*.arrow")
    listed = json.loads(state.read_text()) | {"_data_files": [{"filename": str(private)}]}
    state.write_text(json.dumps(listed))

    with pytest.raises(DataError, match="must lie in its own folder, .*/theirs, not at '.*arrow'"):
        open_train(settings("theirs", dir=str(tmp_path)))


def test_without_the_package_the_command_that_installs_it_is_named(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)

    with pytest.raises(DataError, match=r'needs the package datasets: pip install "ffl_ray\[hf\]"'):
        open_train(settings("both", dir=str(saved)))


def test_workers_are_told_where_a_relative_name_begins(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved)

    def told(name: str) -> dict[str, object]:
        return absolute_data_dir(Config(data=DataConfig(name=name)))

    assert told("hf:both") == told("wds:{0..3}.tar") == {"data.dir": str(saved)}
    assert told("hf:uoft-cs/cifar100") == told("digits") == {}
