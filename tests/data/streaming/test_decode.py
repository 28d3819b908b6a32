"""One image from its file: the drawn square, at the scale and in the channels that it needs."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from PIL import Image
from support.streamed import SIZE, write_jpegs

from ffl_ray.data.streaming.decode import crop_box, middle_square, random_square


def test_a_random_square_is_torchvisions_resized_crop_of_the_drawn_box(tmp_path: Path) -> None:
    path = write_jpegs(tmp_path, 1) / "ant" / "0.jpg"
    from torchvision.transforms.v2 import functional

    for seed in range(10):
        left, top, width, height = crop_box(40, 36, random.Random(seed))
        with Image.open(path) as image:
            theirs = functional.resized_crop(image, top, left, height, width, [SIZE, SIZE])
        ours = random_square(path, SIZE, seed, flip=False).astype(int)

        # Their filter stops at the crop's border; ours sees a pixel beyond.
        assert np.abs(ours - np.asarray(theirs))[2:-2, 2:-2].max() <= 4
        mirrored = random_square(path, SIZE, seed, flip=True)
        assert np.array_equal(mirrored, ours) or np.array_equal(mirrored[:, ::-1], ours)


def test_crops_are_drawn_as_published(tmp_path: Path) -> None:
    draws = random.Random(0)

    boxes = [crop_box(500, 375, draws) for _ in range(2000)]

    shares = np.array([width * height / (500 * 375) for _, _, width, height in boxes])
    ratios = np.array([width / height for _, _, width, height in boxes])
    assert 0.078 < shares.min() < 0.1
    assert 0.95 < shares.max() <= 1
    assert 0.74 < ratios.min() < ratios.max() < 1.35
    assert all(x >= 0 and y >= 0 and x + w <= 500 and y + h <= 375 for x, y, w, h in boxes)
    assert crop_box(1000, 10, draws) == (493, 0, 13, 10)  # nothing else fits


def test_a_large_jpeg_is_decoded_at_the_scale_that_its_crop_needs(tmp_path: Path) -> None:
    write_jpegs(tmp_path, 1)
    with Image.open(tmp_path / "ant" / "0.jpg") as small:
        small.resize((640, 480), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=95)
        small.resize((640, 480), Image.Resampling.BICUBIC).save(tmp_path / "large.png")

    for seed in range(10):
        scaled = random_square(tmp_path / "large.jpg", SIZE, seed, flip=True).astype(int)
        whole = random_square(tmp_path / "large.png", SIZE, seed, flip=True)

        assert np.abs(scaled - whole).mean() < 3


def test_a_grey_or_palette_image_becomes_three_channels(tmp_path: Path) -> None:
    for mode in ("L", "P", "CMYK", "RGBA"):
        path = tmp_path / f"{mode}.{'jpg' if mode in ('L', 'CMYK') else 'png'}"
        Image.new("RGB", (20, 20), (90, 90, 90)).convert(mode).save(path)

        assert random_square(path, 8, 0, flip=True).shape == (8, 8, 3)
        assert middle_square(path, 8).shape == (8, 8, 3)
