"""Photos of an upright phone are upright: the orientation that their EXIF says is applied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.ExifTags import Base
from support.streamed import settings

import ffl_ray.data.streaming.scan
from ffl_ray.data.dataset import Files
from ffl_ray.data.facts import differences
from ffl_ray.data.loader import _load_splits, load_train_val, read_all
from ffl_ray.data.streaming.decode import from_middle_square, middle_square, random_square
from ffl_ray.data.streaming.decoded import decoded, scanned_once
from ffl_ray.data.streaming.image_file import TURNS, digest

BACK = {6: 8, 8: 6}  # the turns that are not their own inverse
LOSSLESS = ("PNG", "TIFF", "WEBP")


def photo() -> Image.Image:
    """A picture that no turn leaves as it is."""
    coarse = np.random.default_rng(3).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((400, 304), Image.Resampling.BICUBIC)


def save_turned(path: Path, kind: str, turn: int) -> Path:
    """A file as a camera writes it: the sensor's pixels, and how they must be turned."""
    stored = photo()
    if turn != 1:
        stored = stored.transpose(TURNS[BACK.get(turn, turn)])
    exif = Image.Exif()
    exif[Base.Orientation] = turn
    exif[Base.Make] = "a camera"
    stored.save(path, format=kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    return path


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_gives_the_upright_pixels(kind: str, turn: int, tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    photo().save(plain)

    path = save_turned(tmp_path / "photo", kind, turn)

    for shape in ((3, 32, 32), (1, 32, 32), (3, 20, 30)):
        assert np.array_equal(from_middle_square(path, shape), from_middle_square(plain, shape))
    for seed in range(5):
        ours, expected = (random_square(file, 32, seed, flip=True) for file in (path, plain))
        assert np.array_equal(ours, expected)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_jpeg_is_turned_at_whatever_scale_it_is_decoded(turn: int, tmp_path: Path) -> None:
    plain = save_turned(tmp_path / "plain.jpg", "JPEG", 1)

    path = save_turned(tmp_path / "photo.jpg", "JPEG", turn)

    squares = [middle_square(file, 32).astype(int) for file in (path, plain)]
    assert np.abs(squares[0] - squares[1]).mean() < 1
    for seed in range(10):
        crops = [random_square(file, 32, seed, flip=True).astype(int) for file in (path, plain)]
        assert np.abs(crops[0] - crops[1]).mean() < 2


@pytest.mark.parametrize(
    "notes",
    [
        b"Exif\x00\x00",
        b"Exif\x00\x00no TIFF at all",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x12\x01",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x02\x00\x00\x00\x03abc\x00",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x2a\x00\x00\x00",
    ],
)
def test_damaged_exif_leaves_the_pixels_as_they_are_stored(notes: bytes, tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        photo().save(tmp_path / f"plain.{kind}", format=kind)
        photo().save(tmp_path / f"noted.{kind}", format=kind, exif=notes)
        noted, plain = (tmp_path / f"{name}.{kind}" for name in ("noted", "plain"))

        assert np.array_equal(middle_square(noted, 16), middle_square(plain, 16))
        crops = [random_square(file, 16, 0, flip=True) for file in (noted, plain)]
        assert np.array_equal(crops[0], crops[1])


def folder_of(root: Path, turn: int) -> Path:
    for name in ("ant", "bee"):
        (root / name).mkdir(parents=True)
        for index in range(4):
            save_turned(root / name / f"{index}.jpg", "JPEG", turn)
    return root


def test_only_images_that_are_turned_have_another_digest_than_their_bytes(tmp_path: Path) -> None:
    names = np.array([b"1.jpg", b"6.jpg", b"6.tif"])
    files = Files(str(tmp_path), names, torch.arange(3), 16)
    for name, kind in ((b"1.jpg", "JPEG"), (b"6.jpg", "JPEG"), (b"6.tif", "TIFF")):
        save_turned(tmp_path / name.decode(), kind, int(name[:1]))
    sources = [files.source(position) for position in range(3)]

    kept, scan = decoded(files)

    assert torch.equal(kept.pixels, files.pixels)
    assert scan == scanned_once(files)
    assert digest(sources[0], 1) == digest(sources[0])
    assert digest(sources[1], 6) != digest(sources[1])


@pytest.mark.parametrize("residency", ["memory", "stream"])
@pytest.mark.parametrize(("turn", "differing"), [(1, ""), (6, "ant: other images than before")])
def test_a_study_does_not_go_on_with_images_that_earlier_versions_did_not_turn(
    residency: str, turn: int, differing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = settings(folder_of(tmp_path, turn), residency=residency)
    _load_splits.cache_clear()
    with monkeypatch.context() as earlier:
        earlier.setattr(ffl_ray.data.streaming.scan, "digest", lambda source, _: digest(source))
        before = read_all(asked, load_train_val(asked))
    _load_splits.cache_clear()

    now = read_all(asked, load_train_val(asked))

    found = differences(before._asdict(), now)
    assert found.startswith(differing)
    assert bool(found) == bool(differing)
