"""Augmentation on the device against the obvious way."""

import pytest
import torch
import torch.nn.functional as F

from ffl_ray.data.augment import Fill, crop_and_flip, draw, normalise


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("fill", "mode"), [("reflect", "reflect"), ("zero", "constant")])
def test_a_crop_equals_padding_cropping_and_flipping(channels: int, fill: Fill, mode: str) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(1, 256, (20, 6, 7, channels), dtype=torch.uint8, generator=generator)
    draws = draw(20, padding=3, flip=True, generator=generator)

    found = crop_and_flip(pixels, torch.arange(20), draws, fill=fill)

    for i in range(20):
        image = pixels[i].permute(2, 0, 1).double()[None]
        padded = F.pad(image, (3, 3, 3, 3), mode=mode)[0]
        down, right = (3 + int(shift) for shift in draws.shifts[i])
        crop = padded[:, down : down + 6, right : right + 7]
        expected = crop.flip(2) if draws.flips[i] else crop
        assert torch.equal(found[i].permute(2, 0, 1).double(), expected)


def test_every_shift_and_both_sides_are_equally_likely() -> None:
    draws = draw(49_000, padding=3, flip=True, generator=torch.Generator().manual_seed(0))

    places = torch.bincount((draws.shifts[:, 0] + 3) * 7 + draws.shifts[:, 1] + 3, minlength=49)

    assert bool((places > 850).all())
    assert bool((places < 1150).all())
    assert float(draws.flips.double().mean()) == pytest.approx(0.5, abs=0.01)


def test_without_padding_and_flip_nothing_changes() -> None:
    pixels = torch.randint(0, 256, (5, 4, 4, 3), dtype=torch.uint8)
    draws = draw(5, padding=0, flip=False, generator=torch.Generator().manual_seed(0))

    assert torch.equal(crop_and_flip(pixels, torch.arange(5), draws), pixels)


def test_normalised_pixels_have_the_stated_scale_and_lie_channels_last() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(2, 4, 4, 3).contiguous()

    found = normalise(pixels, torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.5, 0.25, 0.5]))

    assert found[0, :, 0, 0].tolist() == pytest.approx([-1.0, -1.2, 1.0])
    assert found.is_contiguous(memory_format=torch.channels_last)
