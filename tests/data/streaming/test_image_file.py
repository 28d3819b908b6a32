"""Image files mean what they say, or are refused in words, in training and in predicting alike."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ffl_ray.data.streaming.decode import middle_square, random_square
from ffl_ray.data.streaming.image_file import (
    Part,
    UnreadableImageError,
    image_names,
    opened,
    part_bytes,
)

RAMP = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
EIGHT = ((RAMP.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)


def saved(path: Path, image: Image.Image, kind: str) -> Path:
    image.save(path, format=kind)
    return path


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_of_grey_are_the_same_picture_as_eight(kind: str, tmp_path: Path) -> None:
    deep = saved(tmp_path / "deep", Image.fromarray(RAMP), kind)
    plain = saved(tmp_path / "plain", Image.fromarray(EIGHT), kind)

    for channels in (1, 3):
        assert np.array_equal(middle_square(deep, 8, channels), middle_square(plain, 8, channels))
    first, second = (random_square(path, 8, 5, flip=True) for path in (deep, plain))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(("1", kind) for kind in ("PNG", "TIFF", "BMP", "PPM")),
        *(("L", kind) for kind in ("PNG", "TIFF", "BMP", "PPM", "JPEG", "WEBP")),
        *(("P", kind) for kind in ("PNG", "TIFF", "BMP")),
        *(("RGB", kind) for kind in ("PNG", "TIFF", "BMP", "PPM")),
        *(("RGBA", kind) for kind in ("PNG", "TIFF", "BMP")),
        *(("LA", kind) for kind in ("PNG", "TIFF")),
        *(("CMYK", kind) for kind in ("TIFF",)),
    ],
)
def test_black_is_black_and_white_is_white_in_every_mode(
    mode: str, kind: str, tmp_path: Path
) -> None:
    half = np.zeros((8, 8, 3), np.uint8)
    half[:, 4:] = 255
    path = saved(tmp_path / "image", Image.fromarray(half).convert(mode), kind)

    for channels in (1, 3):
        square = middle_square(path, 8, channels)
        assert square[:, :3].max() <= 2
        assert square[:, 5:].min() >= 253


@pytest.mark.parametrize(("mode", "kind"), [("F", "TIFF"), ("I", "TIFF"), ("LAB", "TIFF")])
def test_pixels_without_a_plain_meaning_are_refused_by_mode(
    mode: str, kind: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "image", Image.new(mode, (8, 8)), kind)

    with pytest.raises(UnreadableImageError, match=f"Pillow's mode {mode}"):
        middle_square(path, 8)
    with pytest.raises(UnreadableImageError, match=f"Pillow's mode {mode}"):
        random_square(path, 8, 0, flip=False)


def bomb(path: Path) -> Path:
    """A PNG of a few bytes that claims 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    return path


def test_a_bomb_a_pipe_and_other_formats_are_refused_in_words(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    saved(tmp_path / "moving.png", Image.new("RGB", (8, 8)), "GIF")
    reasons = {
        bomb(tmp_path / "bomb.png"): "pixels",
        tmp_path / "pipe.png": "it is no regular file",
        tmp_path / "script.png": "it is none of JPEG, PNG",
        tmp_path / "cut.jpg": "it is none of JPEG, PNG",
        tmp_path / "moving.png": "it is none of JPEG, PNG",
    }

    for path, reason in reasons.items():
        with pytest.raises(UnreadableImageError, match=reason):
            middle_square(path, 8)


def test_a_large_image_is_read_without_a_warning(tmp_path: Path) -> None:
    Image.new("1", (10_000, 9_500)).save(tmp_path / "large.png")

    with opened(tmp_path / "large.png") as image:
        assert image.size == (10_000, 9_500)


def test_hidden_files_and_folders_are_no_images(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/._1.png", ".thumbnails/2.png", "__MACOSX/3.png", "a/b/4.JPG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert sorted(image_names(str(tmp_path))) == ["a/1.png", "a/b/4.JPG"]


@pytest.mark.parametrize(("first", "size"), [(0, 2**62), (2, 3), (-1, 2), (1, -1)])
def test_a_part_that_its_file_does_not_hold_is_refused_before_it_is_read(
    first: int, size: int, tmp_path: Path
) -> None:
    (tmp_path / "shard").write_bytes(b"abcd")

    with pytest.raises(UnreadableImageError, match="the file ends before"):
        part_bytes(Part(str(tmp_path / "shard"), first, size))
