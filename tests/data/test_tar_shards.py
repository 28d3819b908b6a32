"""WebDataset's shards as data: read where they lie, in any order, by an index made once."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from support.brought import CLASSES, picture, write_shard, write_shards

from ffl_ray.config.settings import Config, DataConfig
from ffl_ray.data.dataset import Files, Images
from ffl_ray.data.loader import load_train_val, open_test, read_all, read_test
from ffl_ray.data.streaming import tar_index
from ffl_ray.data.streaming.image_file import Part
from ffl_ray.data.streaming.pool import LoaderPool
from ffl_ray.data.streaming.stream import served
from ffl_ray.data.tar_shards import expanded_braces, open_train
from ffl_ray.errors import DataError, NoTestSplitError
from ffl_ray.planning.data_check import data_facts


def settings(name: str, **changes: object) -> DataConfig:
    given = {"name": f"wds:{name}", "image_size": 8, "val_fraction": 0.25}
    return DataConfig.model_validate(given | changes)


def test_images_labels_and_classes_are_those_of_the_shards(tmp_path: Path) -> None:
    write_shards(tmp_path)
    write_shards(tmp_path, "test", shards=1, each=6)
    asked = settings("{train,test}-*.tar", dir=str(tmp_path))

    opened, test = open_train(asked), open_test(asked)

    files = opened.images
    assert isinstance(files, Files)
    assert opened.info.classes == CLASSES
    assert opened.class_counts == (12, 12, 12)
    assert files.labels.tolist() == [n % 3 for n in range(36)]
    for position, number in ((0, 0), (17, 17), (18, 18), (35, 35)):
        part = files.source(position)
        assert isinstance(part, Part)
        raw = Path(part.path).read_bytes()[part.first : part.first + part.size]
        assert raw == picture(number)
    assert files.names[18] == b"ant/train-1.tar:00000.png"
    assert test.class_counts == (2, 2, 2)


def test_splits_digests_and_pixels_are_those_of_the_same_images_as_a_folder(
    tmp_path: Path,
) -> None:
    write_shards(tmp_path / "shards", "part")
    for number in sorted(range(36), key=lambda n: n % 3):
        folder = tmp_path / "folder" / CLASSES[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03d}.png").write_bytes(picture(number))
    of_folder = {"name": "folder", "dir": str(tmp_path / "folder")}

    shards = load_train_val(settings("shards", dir=str(tmp_path)))
    unpacked = load_train_val(settings("x").model_copy(update=of_folder))

    assert isinstance(shards.train, Images)
    assert len(shards.facts.contents) == 3
    assert len(set(shards.facts.contents)) == 3
    assert shards.facts.counts == unpacked.facts.counts == (12, 12, 12)
    assert torch.equal(
        shards.train.labels.bincount() + shards.val.labels.bincount(),
        unpacked.train.labels.bincount() + unpacked.val.labels.bincount(),
    )
    reds = shards.train.pixels[:, 0, 0, 0].tolist()
    assert reds == [40 + 80 * label for label in shards.train.labels.tolist()]


def test_streamed_shards_give_the_pixels_that_memory_holds(tmp_path: Path) -> None:
    write_shards(tmp_path)
    asked = settings("train-{0..1}.tar", dir=str(tmp_path), augment="none")
    kept = load_train_val(asked)
    data = load_train_val(asked.model_copy(update={"residency": "stream"}))
    pool = LoaderPool(1)
    try:
        streamed = served(data.val, data.info, torch.device("cpu"), pool)
        memory = served(kept.val, kept.info, torch.device("cpu"), pool)
        batches = list(zip(
            streamed.eval_batches(batch_size=4), memory.eval_batches(batch_size=4), strict=True
        ))  # fmt: skip
    finally:
        pool.close()

    assert isinstance(data.val, Files)
    assert data.split_hash == kept.split_hash
    assert read_all(asked, data).contents == kept.facts.contents
    assert len(batches) > 1
    for ours, theirs in batches:
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)


def test_the_index_is_made_once_and_again_when_a_shard_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFL_RAY_CACHE", str(tmp_path / "cache"))
    write_shards(tmp_path / "data")
    shards = tuple(sorted(map(str, (tmp_path / "data").glob("*.tar"))))
    first = tar_index.tar_index(shards)
    tar_index.tar_index.cache_clear()

    with monkeypatch.context() as patched:
        patched.setattr(tar_index, "samples", lambda path: pytest.fail(f"{path} read again"))
        second = tar_index.tar_index(shards)
    write_shard(Path(shards[0]), [{"png": picture(5), "cls": b"2"}])
    tar_index.tar_index.cache_clear()
    third = tar_index.tar_index(shards)

    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert len(third["places"]) == 1 + 18


def test_classes_may_be_names_and_labels_in_json(tmp_path: Path) -> None:
    rows: list[dict[str, bytes]] = [
        {"json": json.dumps({"label": name, "other": 1}).encode(), "png": picture(n)}
        for n, name in enumerate(["moth", "ant", "ant", "moth"])
    ]
    write_shard(tmp_path / "all.tar", rows)

    opened = open_train(settings(str(tmp_path / "all.tar")))

    assert opened.info.classes == ("ant", "moth")
    assert opened.class_counts == (2, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("{08..10}.tar", ["08.tar", "09.tar", "10.tar"]),
        ("{8..10}.tar", ["8.tar", "9.tar", "10.tar"]),
        ("{2..1}", ["2", "1"]),
        ("{a,b}-{0..1}", ["a-0", "a-1", "b-0", "b-1"]),
    ],
)
def test_braces_are_those_of_a_shell(text: str, expected: list[str]) -> None:
    assert expanded_braces(text) == expected


def bad_shards(folder: Path) -> dict[str, str]:
    """Names of damaged or incomplete shards, and what is said of each."""
    image = {"png": picture(0)}
    write_shard(folder / "unlabelled.tar", [image])
    write_shard(folder / "blind.tar", [{"cls": b"1"}])
    write_shard(folder / "two.tar", [image | {"cls": b"1", "jpg": b"x"}])
    write_shard(folder / "one.tar", [image | {"cls": b"0"}])
    write_shard(folder / "many.tar", [image | {"cls": b"123456789"}])
    write_shard(folder / "empty.tar", [])
    (folder / "text.tar").write_text("no archive, but long enough for a header" * 20)
    with tarfile.open(folder / "packed.tar", "w:gz") as tar:
        tar.add(folder / "one.tar", "one.png")
    return {
        "unlabelled.tar": r"a sample must have a class \(.cls, or label in .json\), and '00000' of",
        "blind.tar": "must have one image",
        "two.tar": "must have one image, and '00000' of .*two.tar has png, cls, jpg",
        "one.tar": "two classes or more",
        "many.tar": "a class number must be below 100000, not 123456789",
        "empty.tar": "holds no images",
        "text.tar": "text.tar must be a plain tar file",
        "packed.tar": "packed.tar must be a plain tar file",
        "none-{0..1}.tar": "there is no shard .*none-0.tar",
        "none*.tar": "there is no tar file at",
        "https://host/a.tar": "copy those of wds:https://host/a.tar there",
        "{0..9999999}": "stands for more than 1,000,000 shards",
    }


def test_what_can_not_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    for name, message in bad_shards(tmp_path).items():
        with pytest.raises(DataError, match=message) as refused:
            open_train(settings(name, dir=str(tmp_path)))
        assert "\n" not in str(refused.value)


def test_a_test_split_is_of_shards_named_so_or_a_fifth_of_all(tmp_path: Path) -> None:
    write_shards(tmp_path)
    alone = settings("train-*.tar", dir=str(tmp_path))
    facts = read_test(alone, load_train_val(alone).facts)
    assert (facts.num_train + facts.num_val, facts.test_counts) == (30, (2, 2, 2))

    write_shard(tmp_path / "val-0.tar", [{"png": picture(1), "cls": b"1"}])
    with pytest.raises(NoTestSplitError, match="must hold every class, and lacks 'ant', 'moth'"):
        read_test(settings(".", dir=str(tmp_path)), facts)
    (note,) = data_facts(Config(data=settings(".", dir=str(tmp_path)))).notes
    assert note.startswith("no test split, so that confirm will refuse: data.name: the test shards")

    write_shards(tmp_path, "more")
    with pytest.raises(DataError, match=r"beside shards train\* others must be called test\*"):
        open_train(settings(".", dir=str(tmp_path)))


def test_an_image_that_is_none_is_named_with_its_shard(tmp_path: Path) -> None:
    rows = [{"png": picture(n), "cls": b"%d" % (n % 2)} for n in range(20)]
    rows[4]["png"] = b"no image"
    write_shard(tmp_path / "a.tar", rows)
    asked = settings("a.tar", dir=str(tmp_path))

    with pytest.raises(DataError, match=r"0/a.tar:00004.png \(.*a.tar from byte [0-9]+\) can't be"):
        load_train_val(asked.model_copy(update={"fraction": 1.0, "split_seed": 3}))
    data = load_train_val(asked.model_copy(update={"skip_bad_files": True, "split_seed": 3}))

    assert [name for name, _ in data.facts.skipped] == ["0/a.tar:00004.png"]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("imagenet1k-train-0.tar", "imagenet1k-validation-0.tar"),
        ("train/part/0.tar", "test/part/0.tar"),
        ("train-0.tar", "valid-0.tar"),
        ("train-test-0.tar", "a_test.tar"),
    ],
)
def test_a_split_is_known_by_a_word_of_the_name_or_by_any_folder(
    train: str, test: str, tmp_path: Path
) -> None:
    (tmp_path / "classnames.txt").write_text("\n".join(CLASSES) + "\n")
    for name, count in ((train, 9), (test, 6)):
        cells = [{"png": picture(n), "cls": b"%d" % (n % 3)} for n in range(count)]
        write_shard(tmp_path / name, cells)
        (tmp_path / name).with_name("classnames.txt").write_text("\n".join(CLASSES) + "\n")
    asked = settings(".", dir=str(tmp_path))

    assert len(open_train(asked).images) == 9
    assert len(open_test(asked).images) == 6


def test_shards_of_a_test_split_are_never_trained_on_beside_unnamed_ones(tmp_path: Path) -> None:
    write_shards(tmp_path, "data")
    write_shards(tmp_path, "test", shards=1)

    with pytest.raises(DataError, match=r"test-0\.tar, which are no training data"):
        open_train(settings(".", dir=str(tmp_path)))


def test_a_class_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    write_shards(tmp_path)
    write_shard(tmp_path / "train-2.tar", [{"png": picture(0), "cls": b"9" * 5000}])

    with pytest.raises(DataError, match="must be one of 3"):
        open_train(settings(".", dir=str(tmp_path)))


def member(name: bytes, size: int, kind: bytes = b"0") -> bytes:
    """A member's header, whatever it claims."""
    made = bytearray(tarfile.TarInfo(name.decode()).tobuf(tarfile.GNU_FORMAT))
    made[124:136], made[156:157] = b"\xff" * 4 + size.to_bytes(8, signed=True), kind
    made[124:136] = made[124:136] if size < 0 else b"%011o\0" % size
    made[148:156] = b"%06o\0 " % (sum(made[:148]) + sum(made[156:]) + 8 * 32)
    return bytes(made)


@pytest.mark.parametrize(
    "content",
    [
        member(b"a.txt", -512) + bytes(1024),
        (member(b"././@LongLink", 512, b"L") + b"x" * 512) * 3000,
        member(b"x", 512, b"x") + (b"9" * 20 + b" a=b\n").ljust(512, b"\0") + member(b"a.png", 0),
    ],
)
def test_headers_that_no_writer_makes_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "train-0.tar").write_bytes(content)

    with pytest.raises(DataError, match="must be a plain tar file"):
        open_train(settings(".", dir=str(tmp_path)))
