"""How often images of each class are taken for which, against a count by hand."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ffl_ray.training.confusions import (
    IMAGES,
    PICTURES,
    SIDE,
    Confusions,
    confusions,
    from_row,
    mistakes,
    to_row,
)

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 6, 300)
PREDICTED = np.where(RNG.random(300) < 0.6, LABELS, RNG.integers(0, 6, 300))
NLL = RNG.lognormal(size=300).astype(np.float32)
PIXELS = RNG.integers(0, 256, (300, 12, 10, 3)).astype(np.uint8)


def found_with(pixels: np.ndarray) -> Confusions:
    return confusions(LABELS, PREDICTED, NLL, lambda places: pixels[places])


def test_the_pairs_that_occur_are_counted() -> None:
    found = found_with(PIXELS)

    assert found.counts == Counter(zip(LABELS.tolist(), PREDICTED.tolist(), strict=True))
    right = sum(count for (true, taken), count in found.counts.items() if true == taken)
    assert right == (LABELS == PREDICTED).sum()


def test_a_thousand_classes_take_no_more_pairs_than_images() -> None:
    labels = np.arange(5000) % 1000

    found = confusions(labels, labels[::-1], np.zeros(5000, np.float32), lambda _: PIXELS[:1])

    assert len(found.counts) == 1000
    assert len(found.pictures) == PICTURES


def test_pictures_are_of_the_most_frequent_mistakes_and_their_surest_images() -> None:
    asked = []

    def pixels_of(places: np.ndarray) -> np.ndarray:
        asked.append(places)
        taken: np.ndarray = PIXELS[places]
        return taken

    found = confusions(LABELS, PREDICTED, NLL, pixels_of)

    wrong = Counter(
        p for p in zip(LABELS.tolist(), PREDICTED.tolist(), strict=True) if len({*p}) > 1
    )
    assert list(found.pictures) == mistakes(found.counts)[:PICTURES]
    assert sorted((wrong[pair] for pair in found.pictures), reverse=True) == [
        count for _, count in wrong.most_common(PICTURES)
    ]
    for (true, taken), places in zip(found.pictures, asked, strict=True):
        of_pair = np.equal(LABELS, true) & np.equal(PREDICTED, taken)
        assert of_pair[places].all()
        assert NLL[places].tolist() == sorted(NLL[of_pair].tolist(), reverse=True)[:IMAGES]
    with Image.open(io.BytesIO(next(iter(found.pictures.values())))) as picture:
        assert picture.size == (IMAGES * (SIDE + 2) - 2, SIDE)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_picture_shows_the_images(channels: int, mode: str) -> None:
    flat = np.full((300, 90, 80, channels), 200, np.uint8)

    picture = next(iter(found_with(flat).pictures.values()))

    with Image.open(io.BytesIO(picture)) as image:
        assert image.mode == mode
        assert np.abs(np.asarray(image)[:SIDE, : SIDE - 8].astype(int) - 200).max() <= 3


def test_a_picture_of_an_oblong_image_is_not_squeezed() -> None:
    flat = np.zeros((300, 40, 80, 3), np.uint8)

    picture = next(iter(found_with(flat).pictures.values()))

    with Image.open(io.BytesIO(picture)) as image:
        pixels = np.asarray(image)[:, :SIDE].astype(int)
    assert pixels[: SIDE // 2 - 8, : SIDE - 8].max() <= 3
    assert pixels[SIDE // 2 + 8 :].min() >= 252


def test_images_without_plain_colours_or_that_are_gone_have_no_picture() -> None:
    def gone(places: np.ndarray) -> np.ndarray:
        raise FileNotFoundError("moved meanwhile")

    assert found_with(PIXELS.repeat(2, axis=3)[..., :5]).pictures == {}
    assert confusions(LABELS, PREDICTED, NLL, gone).counts == found_with(PIXELS).counts


def test_a_row_of_plain_values_comes_back() -> None:
    found, classes = found_with(PIXELS), ["a", "b\n", "ü", "d", "e", "f"]

    assert from_row(to_row("fused", found, classes)) == (found, classes)


@pytest.mark.parametrize(
    "changes",
    [{"classes": '["a", "b"]'}, {"taken_for": [-1]}, {"images": [0]}, {"images": [1.5]}],
    ids=["another class", "below 0", "no image", "half an image"],
)
def test_a_row_that_no_training_gives_is_refused(changes: dict[str, object]) -> None:
    row = {"classes": '["a", "b", "c"]', "true": [2], "taken_for": [0], "images": [1]}

    with pytest.raises(ValueError, match="confusions must"):
        from_row(row | {"pictures": "{}"} | changes)
