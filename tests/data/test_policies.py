"""Policies of views: each image is what its seed makes of it, and a view is of one policy."""

from __future__ import annotations

import pytest
import torch
from support.late import Late
from torch import Tensor

from ffl_ray.config.distill_settings import POLICIES
from ffl_ray.data.batches import Augmentation, EpochRequest
from ffl_ray.data.dataset import DatasetInfo, Images
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.data.policies import augmented, cut_out, draw_policy
from ffl_ray.data.shards import Shard

v2 = Late("torchvision.transforms.v2")
MEAN = (0.5, 0.25, 0.75)
TORCHVISION = {
    "rotation": lambda: v2.RandomRotation(15),
    "randaugment": lambda: v2.RandAugment(num_ops=2, magnitude=9),
    "autoaugment": lambda: v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10),
}


def pictures(count: int, side: int = 16, channels: int = 3) -> Tensor:
    shape = (count, side, side, channels)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", TORCHVISION)
def test_an_image_is_what_torchvision_makes_of_it_under_its_seed(
    policy: str, channels: int
) -> None:
    pixels, seeds = pictures(40, channels=channels), torch.arange(40) % 23
    before = torch.get_rng_state()

    found = augmented(policy, pixels, seeds, MEAN[:channels])

    assert torch.equal(torch.get_rng_state(), before)
    for image, seed, made in zip(pixels, seeds.tolist(), found, strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = TORCHVISION[policy]()(image.permute(2, 0, 1))
        assert torch.equal(made.permute(2, 0, 1), expected)
    assert (found != pixels).flatten(1).any(1).sum() > 15


def test_a_square_of_half_the_side_is_cut_out_around_any_pixel() -> None:
    pixels = pictures(500)
    seeds = draw_policy("cutout", 500, torch.Generator().manual_seed(1))
    assert seeds is not None

    found = cut_out(pixels, seeds, MEAN)

    colour = torch.tensor([128, 64, 191], dtype=torch.uint8)
    for image, made, seed in zip(pixels, found, seeds.tolist(), strict=True):
        row, column = seed % 16, seed // 16 % 16
        expected = image.clone()
        expected[max(0, row - 4) : row + 4, max(0, column - 4) : column + 4] = colour
        assert torch.equal(made, expected)
    cut = (found == colour).all(3).sum((1, 2))
    assert (int(cut.min()), int(cut.max())) == (16, 64)


def test_each_view_has_its_policy_and_steps_and_workers_see_the_same() -> None:
    info = DatasetInfo(("a", "b"), (0.0,) * 3, (1 / 255,) * 3, crop_padding=0, flip=False)
    images = DeviceImages(Images(pictures(60), torch.arange(60) % 2), info, torch.device("cpu"))
    policies = Augmentation(policies=("standard", "cutout", "rotation", "standard"))
    request = EpochRequest(20, seed=3, epoch=1, augmentation=policies, num_views=4)

    batches = list(images.train_batches(request))

    plain, cut, turned, again = batches[0].images
    assert torch.equal(plain, again)
    assert ((cut == plain) | (cut == 0)).all()
    assert not torch.equal(turned, plain)
    later = list(images.train_batches(request._replace(first_step=1)))
    assert torch.equal(later[0].images, batches[1].images)
    halves = [
        next(images.train_batches(request._replace(shard=Shard(rank, 2)))).images for rank in (0, 1)
    ]
    assert torch.equal(torch.cat(halves, dim=1), batches[0].images)
    assert set(policies.policies) <= set(POLICIES)
