"""Decoded images that the processes of a machine share."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

import ffl_ray.data.streaming.decoded
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import Files
from ffl_ray.data.loader import load_train_val, open_test
from ffl_ray.data.streaming.decoded import cache_folder, decoded, decoded_once, scanned_once
from ffl_ray.errors import DataError


class Place(NamedTuple):
    """A few image files, and the folder of their decoded pixels."""

    files: Files
    cache: Path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    generator = np.random.default_rng(0)
    for index in range(6):
        pixels = generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    monkeypatch.setattr(ffl_ray.data.streaming.decoded, "FEWEST_IMAGES", 2)
    monkeypatch.setenv("FFL_RAY_CACHE", str(tmp_path / "cache"))
    names = np.array([b"%d.png" % index for index in range(6)])
    return Place(Files(str(tmp_path), names, torch.arange(6), 8), tmp_path / "cache")


def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(image: Image.Image, shape: tuple[int, int, int]) -> None:
        pytest.fail(f"{image} was decoded again")

    monkeypatch.setattr(ffl_ray.data.streaming.decoded, "middle_of", refuse)


def pixel_files(place: Place) -> list[str]:
    return sorted(file.name for file in place.cache.glob("*.pixels"))


def test_a_second_opening_decodes_nothing_and_gives_the_same_pixels(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = decoded_once(place.files)
    no_decoding(monkeypatch)

    second, _ = decoded_once(place.files)

    assert torch.equal(first.pixels, place.files.pixels)
    assert torch.equal(second.pixels, first.pixels)
    assert not list(place.cache.glob("*.part"))


def test_writing_into_the_pixels_reaches_nobody_else(place: Place) -> None:
    first, second = (decoded_once(place.files)[0] for _ in range(2))

    first.pixels.zero_()

    assert torch.equal(second.pixels, place.files.pixels)


def test_another_side_order_or_file_is_decoded_anew(place: Place) -> None:
    decoded_once(place.files)
    files = place.files
    others = [
        Files(files.folder, files.names, files.labels, 9),
        files.take(torch.tensor([1, 0, 2, 3, 4, 5])),
    ]
    for index, other in enumerate(others):
        assert torch.equal(decoded_once(other)[0].pixels, other.pixels)
        assert len(pixel_files(place)) == index + 2

    changed = Path(files.folder) / "1.png"
    shutil.copy(Path(files.folder) / "0.png", changed)
    os.utime(changed, (1, 1))  # a file system's clock ticks every few milliseconds

    assert torch.equal(decoded_once(files)[0].pixels[0], decoded_once(files)[0].pixels[1])


def test_a_full_disk_or_no_folder_means_decoding_into_memory(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = decoded(place.files)[0].pixels
    with monkeypatch.context() as full:
        full.setattr(ffl_ray.data.streaming.decoded, "FREE_SHARE", 1.0)
        assert torch.equal(decoded_once(place.files)[0].pixels, expected)
    assert not pixel_files(place)

    for folder in ("", str(place.files.folder) + "/0.png/below"):
        monkeypatch.setenv("FFL_RAY_CACHE", folder)
        assert torch.equal(decoded_once(place.files)[0].pixels, expected)


def test_a_file_cut_short_is_replaced(place: Place) -> None:
    decoded_once(place.files)
    (file,) = place.cache.glob("*.pixels")
    os.truncate(file, 100)

    assert torch.equal(decoded_once(place.files)[0].pixels, place.files.pixels)


def test_what_was_used_longest_ago_is_deleted_first(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffl_ray.data.streaming.decoded, "MOST_BYTES", 2 * 6 * 8 * 8 * 3)
    others = [place.files.take(torch.arange(6).roll(turn)) for turn in (1, 2)]
    decoded_once(place.files)
    (first,) = pixel_files(place)
    decoded_once(others[0])
    os.utime(place.cache / first, (0, 0))

    decoded_once(others[1])

    assert len(pixel_files(place)) == 2
    assert first not in pixel_files(place)


def test_all_broken_images_are_named_at_once_and_leave_no_file(place: Place) -> None:
    for name in ("3.png", "5.png"):
        (Path(place.files.folder) / name).write_bytes(b"no image")

    named = r"3\.png can't be read as an image: .*; .*5\.png can't be read as an image"
    with pytest.raises(DataError, match=named):
        decoded_once(place.files)

    assert not pixel_files(place)
    assert not list(place.cache.glob("*.part"))


def test_folder_and_pixels_are_their_owners_alone(place: Place) -> None:
    decoded_once(place.files)

    (name,) = pixel_files(place)
    for path, mode in ((place.cache, 0o700), (place.cache / name, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.cache.glob("*.lock")} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_pixels_that_somebody_else_may_have_put_there_are_not_read(place: Place) -> None:
    whole = decoded_once(place.files)[0].pixels.clone()
    (name,) = pixel_files(place)
    poisoned = place.cache / name
    poisoned.write_bytes(bytes(poisoned.stat().st_size))

    os.chown(poisoned, 12345, -1)
    assert torch.equal(decoded_once(place.files)[0].pixels, whole)

    poisoned.unlink()
    aside = place.cache.parent / "aside"
    aside.write_bytes(bytes(whole.numel()))
    poisoned.symlink_to(aside)
    assert torch.equal(decoded_once(place.files)[0].pixels, whole)
    assert aside.read_bytes() == bytes(whole.numel())


def test_a_folder_that_others_may_write_to_is_not_used(place: Place) -> None:
    place.cache.mkdir()
    place.cache.chmod(0o777)

    with pytest.warns(UserWarning, match=r"writable by you alone \(chmod 700\)"):
        decoded_once(place.files)

    assert [*place.cache.iterdir()] == []


def test_the_folder_is_the_environments_then_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, expected in (
        ("FFL_RAY_CACHE", "/a", Path("/a")),
        ("FFL_RAY_CACHE", "", None),
        ("XDG_CACHE_HOME", "/b", Path("/b/ffl_ray")),
        ("HOME", "/c", Path("/c/.cache/ffl_ray")),
    ):
        for other in ("FFL_RAY_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(name, value)

        assert cache_folder() == expected


def test_the_test_split_is_never_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, shade in (("train", 10), ("test", 200)):
        for name in ("a", "b"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for index in range(4):
                colour = (shade + index, shade, shade)
                Image.new("RGB", (8, 8), colour).save(
                    tmp_path / "data" / part / name / f"{index}.png"
                )
    monkeypatch.setattr(ffl_ray.data.streaming.decoded, "FEWEST_IMAGES", 1)
    monkeypatch.setenv("FFL_RAY_CACHE", str(tmp_path / "cache"))
    settings = DataConfig(
        name="folder", dir=str(tmp_path / "data"), image_size=8, val_fraction=0.25
    )

    open_test(settings)
    assert not list(tmp_path.glob("cache/*.pixels"))
    load_train_val(settings)

    (kept,) = tmp_path.glob("cache/*.pixels")
    assert max(kept.read_bytes()) < 200


def test_what_can_not_be_read_is_left_out_and_known_the_next_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = place.files.pixels
    (Path(place.files.folder) / "3.png").write_bytes(b"no image")

    first, scan = decoded_once(place.files, skip_bad=True)
    no_decoding(monkeypatch)
    second, known = decoded_once(place.files, skip_bad=True)

    kept = torch.tensor([0, 1, 2, 4, 5])
    assert torch.equal(first.pixels, whole[kept])
    assert torch.equal(second.pixels, first.pixels)
    assert second.labels.tolist() == kept.tolist()
    assert known == scan
    assert list(scan.bad) == [3]
    assert scanned_once(place.files) == scan
    with pytest.raises(DataError, match=r"3\.png can't be read .*, with --skip-bad-files"):
        decoded_once(place.files)
