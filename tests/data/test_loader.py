"""Train and val parts, and the batches that workers share."""

import pytest
import torch
from sklearn.datasets import load_digits

from ffl_ray.config import DataConfig
from ffl_ray.data import digits as digits_file
from ffl_ray.data.loader import DeviceImages, Shard, load_train_val
from ffl_ray.errors import DataError, SettingError

CPU = torch.device("cpu")


def test_digits_are_real_and_split_once_and_for_all() -> None:
    data = load_train_val(DataConfig(val_fraction=0.2))

    assert (len(data.train), len(data.val)) == (1151, 287)
    assert data.image_shape == (1, 8, 8)
    assert data.split_hash == "45dfc41b70be4cf9"
    assert int(data.train.pixels.max()) == 255


def test_digits_are_those_of_scikit_learn() -> None:
    bunch = load_digits()
    parts = [digits_file.open_train(DataConfig()), digits_file.open_test(DataConfig())]

    pixels = torch.cat([part.images.pixels for part in parts]).flatten(1).double()

    expected = (torch.from_numpy(bunch.images).flatten(1) * (255 / 16)).round()
    assert pixels.shape == (1797, 64)
    assert torch.equal(pixels.sum(0), expected.sum(0))
    assert torch.equal(
        torch.cat([part.images.labels for part in parts]).bincount(),
        torch.from_numpy(bunch.target).bincount(),
    )


def test_a_fraction_keeps_every_class() -> None:
    data = load_train_val(DataConfig(fraction=0.1, val_fraction=0.2))

    assert 140 <= len(data.train) + len(data.val) <= 148
    assert len(torch.unique(data.train.labels)) == 10


def test_too_little_data_is_refused() -> None:
    with pytest.raises(DataError, match="leave images in both parts; 0.01 and 0.1 of 1438"):
        load_train_val(DataConfig(fraction=0.01, val_fraction=0.1))


def test_padding_wider_than_the_images_is_refused() -> None:
    with pytest.raises(SettingError, match="data.crop_padding must be less than .* 8, not 8"):
        load_train_val(DataConfig(crop_padding=8))


def digits() -> DeviceImages:
    data = load_train_val(DataConfig(val_fraction=0.2))
    return DeviceImages(data.train, data.info, CPU)


def test_an_epoch_shows_every_image_once() -> None:
    images = digits()

    batches = list(images.train_batches(batch_size=100, seed=0, epoch=0))

    assert [len(batch.labels) for batch in batches] == [100] * 11 + [51]
    together = torch.cat([batch.labels for batch in batches])
    assert torch.equal(together.bincount(), images.images.labels.bincount())


def test_epochs_and_seeds_differ_and_each_can_be_repeated() -> None:
    images = digits()

    def first(seed: int, epoch: int) -> torch.Tensor:
        return next(images.train_batches(batch_size=64, seed=seed, epoch=epoch)).images

    assert torch.equal(first(0, 3), first(0, 3))
    assert not torch.equal(first(0, 3), first(0, 4))
    assert not torch.equal(first(0, 3), first(1, 3))


@pytest.mark.parametrize("world_size", [2, 3])
def test_workers_share_the_very_batches_that_one_worker_sees(world_size: int) -> None:
    images = digits()
    alone = list(images.train_batches(batch_size=64, seed=0, epoch=1))

    shards = [Shard(rank, world_size) for rank in range(world_size)]
    parts = [
        list(images.train_batches(batch_size=64, seed=0, epoch=1, shard=shard)) for shard in shards
    ]

    for step, batch in enumerate(alone):
        shared = torch.cat([part[step].images for part in parts])
        assert torch.equal(shared, batch.images)
        assert all(part[step].global_size == len(batch.labels) for part in parts)


def test_a_last_batch_too_small_for_the_workers_is_left_out() -> None:
    images = digits()  # 1151 = 17 * 64 + 63 = 575 * 2 + 1

    assert len(list(images.train_batches(batch_size=2, seed=0, epoch=0))) == 575
    shard = Shard(0, 32)
    assert len(list(images.train_batches(batch_size=64, seed=0, epoch=0, shard=shard))) == 17


def test_evaluation_shows_every_image_once_and_unchanged() -> None:
    images = digits()
    parts = [list(images.eval_batches(batch_size=50, shard=Shard(rank, 2))) for rank in (0, 1)]

    assert sum(len(batch.labels) for part in parts for batch in part) == len(images.images)
    whole = next(images.eval_batches(batch_size=50))
    assert torch.equal(torch.cat([parts[0][0].images, parts[1][0].images]), whole.images)
