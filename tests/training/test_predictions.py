"""Predictions as text, and back."""

from __future__ import annotations

import numpy as np
import pytest

from ffl_ray.training.predictions import Predictions, from_texts, to_texts


@pytest.mark.parametrize("images", [1, 8, 359])
def test_predictions_come_back_to_a_half(images: int) -> None:
    rng = np.random.default_rng(0)
    right = rng.random(images) < 0.7
    nll = rng.lognormal(-1, 2, images).astype(np.float32)

    found = from_texts(to_texts(Predictions(right, nll)), images)

    assert (found.right == right).all()
    assert found.nll == pytest.approx(nll, rel=2**-11)


def test_an_nll_that_no_half_holds_is_its_largest() -> None:
    found = to_texts(Predictions(np.array([False]), np.array([1e6], np.float32)))

    assert from_texts(found, 1).nll == 65504


def test_ten_thousand_images_take_a_bit_and_two_bytes_each() -> None:
    texts = to_texts(Predictions(np.zeros(10_000, bool), np.zeros(10_000, np.float32)))

    assert (len(texts["right"]), len(texts["nll"])) == (1668, 26668)  # four thirds of it


@pytest.mark.parametrize("images", [7, 16, 10**9])
def test_another_number_of_images_is_refused(images: int) -> None:
    texts = to_texts(Predictions(np.zeros(8, bool), np.zeros(8, np.float32)))

    with pytest.raises(ValueError, match=f"must be of {images} images, not 8"):
        from_texts(texts, images)
