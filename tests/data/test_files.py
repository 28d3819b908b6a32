"""CIFAR files and image folders: read, checked, and the test split left alone."""

import hashlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from support.late import Late
from torch import Tensor

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.settings import DATA_SETS, DataConfig
from ffl_ray.console.data_text import data_text
from ffl_ray.data import cifar, loader
from ffl_ray.data.cifar import LAYOUTS
from ffl_ray.data.dataset import DATASETS, Files, Images
from ffl_ray.data.facts import differences
from ffl_ray.data.folder import look, open_train
from ffl_ray.data.loader import TrainVal, load_train_val, open_test, read_all
from ffl_ray.errors import DataError, SettingError

datasets = Late("torchvision.datasets")


def cifar100(root: Path | str) -> DataConfig:
    return DataConfig(name="cifar100", dir=str(root), val_fraction=0.1)


def test_every_data_set_of_the_settings_is_in_the_table() -> None:
    assert set(DATASETS) == set(DATA_SETS)


def test_real_cifar100_is_what_was_published(cifar_data: Path) -> None:
    data = load_train_val(cifar100(cifar_data))

    assert data.image_shape == (3, 32, 32)
    assert (len(data.train), len(data.val)) == (45_000, 5_000)
    assert len(data.info.classes) == 100
    mean = data.train.pixels.double().mean(dim=(0, 1, 2)) / 255
    assert mean.tolist() == pytest.approx(data.info.mean, abs=0.002)


def test_the_files_are_those_that_torchvision_opens() -> None:
    for name, kind in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        layout = LAYOUTS[name]
        assert layout.folder == kind.base_folder
        assert list(layout.train.items()) == [tuple(pair) for pair in kind.train_list]
        assert list(layout.test.items()) == [tuple(pair) for pair in kind.test_list]
        assert layout.meta == {kind.meta["filename"]: kind.meta["md5"]}


@pytest.mark.parametrize(("name", "kind"), [("cifar10", "CIFAR10"), ("cifar100", "CIFAR100")])
def test_images_and_labels_are_those_of_torchvision(name: str, kind: str, cifar_data: Path) -> None:
    settings = DataConfig.model_validate({"name": name, "dir": str(cifar_data)})
    theirs = getattr(datasets, kind)(str(cifar_data), train=False)

    images, info, _ = open_test(settings)

    assert torch.equal(images.pixels, torch.from_numpy(theirs.data))
    assert images.labels.tolist() == theirs.targets
    assert list(info.classes) == theirs.classes


def test_at_half_resolution_each_pixel_is_the_mean_of_four(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    pixels[0] = 255
    train = pickle.dumps({"data": pixels.reshape(5, -1), "fine_labels": [0, 1, 0, 1, 0]})
    meta = pickle.dumps({"fine_label_names": ["a", "b"]})
    files = {name: hashlib.md5(data, usedforsecurity=False).hexdigest() for name, data in
             (("train", train), ("meta", meta))}  # fmt: skip
    layout = LAYOUTS["cifar100"]._replace(
        train={"train": files["train"]}, meta={"meta": files["meta"]}
    )
    monkeypatch.setitem(LAYOUTS, "cifar100", layout)
    (tmp_path / layout.folder).mkdir()
    (tmp_path / layout.folder / "train").write_bytes(train)
    (tmp_path / layout.folder / "meta").write_bytes(meta)

    for side in (16, 8):
        settings = cifar100(tmp_path).model_copy(update={"image_size": side})
        images, info, _ = cifar.open_train(settings)
        means = F.avg_pool2d(torch.from_numpy(pixels).double(), 32 // side)
        assert images.image_shape == image_shape(settings) == (3, side, side)
        assert torch.equal(images.pixels.permute(0, 3, 1, 2), (means + 0.5).floor().byte())
        assert info.crop_padding == side // 8
    with pytest.raises(SettingError, match="must be 32 or 16 or 8 for data.name cifar100, not 12"):
        image_shape(cifar100(tmp_path).model_copy(update={"image_size": 12}))


@pytest.mark.parametrize("harmful", [print, pytest.fail])
def test_a_cifar_file_that_holds_code_is_refused_unrun(
    harmful: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pickle.dumps(harmful)
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    layout = LAYOUTS["cifar100"]._replace(train={"train": digest}, meta={"meta": digest})
    monkeypatch.setitem(LAYOUTS, "cifar100", layout)
    (tmp_path / layout.folder).mkdir()
    for name in ("train", "meta"):
        (tmp_path / layout.folder / name).write_bytes(data)

    with pytest.raises(DataError, match="holds arrays, not"):
        cifar.open_train(cifar100(tmp_path))


def test_training_on_cifar_needs_no_test_file(cifar_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    shutil.copytree(cifar_data / "cifar-100-python", folder)
    (folder / "test").unlink()

    assert len(load_train_val(cifar100(tmp_path)).train) == 45_000
    with pytest.raises(DataError, match="must hold cifar-100-python/test"):
        open_test(cifar100(tmp_path))


def test_without_a_folder_the_message_says_what_to_give() -> None:
    with pytest.raises(DataError, match="data.dir must name the folder that holds cifar-100"):
        load_train_val(DataConfig(name="cifar100"))


def test_a_missing_cifar_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must hold cifar-100-python/train.*download=true"):
        load_train_val(cifar100(tmp_path))


def test_a_damaged_cifar_file_is_named_with_both_md5s(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    (folder / "train").write_bytes(b"cut short")
    published = LAYOUTS["cifar100"].train["train"]

    with pytest.raises(DataError, match=f"train is damaged: its md5 must be {published}, not "):
        load_train_val(cifar100(tmp_path))


def make_folder(root: Path, count: int = 10, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(count):
            colour = (40 * label + index, 100, 200)
            Image.new("RGB", (20 + index, 16), colour).save(root / name / f"{index}.png")
    return root


def pixels_of(data: TrainVal) -> Tensor:
    assert isinstance(data.train, Images)
    return data.train.pixels


def folder(root: Path) -> DataConfig:
    return DataConfig(name="folder", dir=str(root), image_size=12, val_fraction=0.25)


def test_a_plain_image_folder_sets_a_fifth_aside_as_test(tmp_path: Path) -> None:
    settings = folder(make_folder(tmp_path))

    data, test = load_train_val(settings), open_test(settings)

    assert data.image_shape == (3, 12, 12)
    assert (len(data.train), len(data.val), len(test.images)) == (12, 4, 4)
    reds = [set(part.pixels[:, 0, 0, 0].tolist()) for part in (data.train, data.val, test.images)]
    assert len(set().union(*reds)) == 20


def test_a_folder_with_train_and_val_uses_val_as_test(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", 8)
    make_folder(tmp_path / "val", 3)
    settings = folder(tmp_path)

    assert len(load_train_val(settings).train) == 12
    assert len(open_test(settings).images) == 6


def test_images_are_resized_from_their_middle_square(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", 4)
    wide = Image.new("RGB", (36, 12), (0, 0, 0))
    wide.paste((255, 255, 255), (12, 0, 24, 12))
    wide.save(tmp_path / "train" / "cat" / "0.png")

    data = load_train_val(folder(tmp_path))

    everything = torch.cat([data.train.pixels, data.val.pixels])
    assert int((everything.flatten(1) == 255).all(1).sum()) == 1


@pytest.mark.parametrize(
    ("classes", "message"),
    [(("cat",), "at least 2 class folders.* holds 1"), ((), "2 class folders.* holds 0")],
)
def test_a_folder_without_classes_is_refused(
    classes: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        load_train_val(folder(make_folder(tmp_path, classes=classes)))


def test_the_index_is_that_of_torchvision(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", 5, ("dog", "Cat", "ant"))
    (tmp_path / "train" / "dog" / "deep").mkdir()
    (tmp_path / "train" / "dog" / "0.png").rename(tmp_path / "train" / "dog" / "deep" / "x.PNG")
    (tmp_path / "train" / "dog" / "notes.txt").write_text("no image")
    theirs = datasets.ImageFolder(str(tmp_path / "train"))

    files, info, _ = open_train(DataConfig(name="folder", dir=str(tmp_path), image_size=12))

    assert isinstance(files, Files)
    assert list(info.classes) == theirs.classes
    ours = {files.source(i): label for i, label in enumerate(files.labels.tolist())}
    assert ours == dict(theirs.samples)


def test_what_a_system_leaves_in_a_folder_is_no_class_and_no_image(tmp_path: Path) -> None:
    clean = load_train_val(folder(make_folder(tmp_path / "clean")))
    messy = make_folder(tmp_path / "messy")
    for name in (".thumbnails/0.png", "__MACOSX/cat/0.png", "cat/.ipynb_checkpoints/0.png"):
        (messy / name).parent.mkdir(parents=True)
        shutil.copy(messy / "cat" / "0.png", messy / name)
    (messy / "dog" / "._1.png").write_bytes(b"\0\5\x16\7 macOS's note of a file")

    data = load_train_val(folder(messy))

    assert data.info.classes == ("cat", "dog")
    assert data.split_hash == clean.split_hash
    assert torch.equal(pixels_of(data), pixels_of(clean))


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "train")
    (tmp_path / "train" / "empty").mkdir()

    with pytest.raises(DataError, match="empty must hold images .* and holds none"):
        load_train_val(folder(tmp_path))


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "train")
    (tmp_path / "train" / "cat" / "3.png").write_bytes(b"no image")

    with pytest.raises(DataError, match=r"3\.png can't be read as an image"):
        load_train_val(folder(tmp_path))


def test_a_folder_without_test_part_says_so(tmp_path: Path) -> None:
    make_folder(tmp_path / "train")

    with pytest.raises(DataError, match="must hold test/ or val/ beside train/"):
        open_test(folder(tmp_path))


@pytest.mark.parametrize("residency", ["memory", "stream"])
def test_files_that_can_not_be_read_are_named_at_once_or_skipped(
    residency: str, tmp_path: Path
) -> None:
    make_folder(tmp_path / "train", 8)
    settings = folder(tmp_path).model_copy(update={"residency": residency})
    whole = read_all(settings, load_train_val(settings))
    (tmp_path / "train" / "cat" / "3.png").write_bytes(b"no image")
    Image.new("1", (14_000, 14_000)).save(tmp_path / "train" / "dog" / "5.png")
    loader._load_splits.cache_clear()

    with pytest.raises(DataError, match=r"cat/3\.png can't.*dog/5\.png can't.*178,956,970 pixels"):
        read_all(settings, load_train_val(settings))

    skipping = settings.model_copy(update={"skip_bad_files": True})
    data = load_train_val(skipping)
    facts = read_all(skipping, data)
    assert [name for name, _ in facts.skipped] == ["cat/3.png", "dog/5.png"]
    assert (facts.num_train, facts.num_val) == (len(data.train), len(data.val))
    assert data_text(facts).startswith("2 classes (cat 7, dog 7): ")
    assert len(data.train) + len(data.val) == 14
    assert differences(facts._asdict(), whole) == (
        "cat/3.png was skipped and no longer is; dog/5.png was skipped and no longer is"
    )
    assert data.train.pixels.shape[0] == len(data.train)


def test_a_look_at_a_folder_gives_the_side_of_its_images_whatever_can_not_be_read(
    tmp_path: Path,
) -> None:
    make_folder(tmp_path / "train")
    (tmp_path / "train" / "cat" / "0.png").write_bytes(b"no image")

    found = look(folder(tmp_path))

    assert found.side == 16
    assert 0 < found.decode_s < 1
