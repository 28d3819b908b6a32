"""TrivialAugment is torchvision's, image by image, and touches no random state but its own."""

from typing import Any

import pytest
import torch
from support.late import Late

from ffl_ray.data.trivial_augment import trivial_augment

v2 = Late("torchvision.transforms.v2")


def images(count: int, height: int, width: int, channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, height, width, channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 24, 3)])
def test_every_image_is_what_torchvision_makes_of_it_under_its_seed_and_equal_ones_are_one_call(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = images(900, *shape)
    calls = []
    real = v2.TrivialAugmentWide.forward

    def counted(*args: Any) -> Any:
        calls.append(args)
        return real(*args)

    monkeypatch.setattr(v2.TrivialAugmentWide, "forward", counted)

    found = trivial_augment(pixels, list(range(900)))

    assert len(calls) < 500
    assert found.shape == pixels.shape
    assert found.is_contiguous()
    for seed in range(900):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = v2.TrivialAugmentWide()(pixels[seed].permute(2, 0, 1))
        assert torch.equal(found[seed].permute(2, 0, 1), expected)
    assert (found != pixels).flatten(1).any(1).sum() > 450


def test_the_global_generator_is_left_as_it_was() -> None:
    before = torch.get_rng_state()

    trivial_augment(images(10, 8, 8, 1), list(range(10)))

    assert torch.equal(torch.get_rng_state(), before)
