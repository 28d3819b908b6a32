"""Train and val parts, and the batches that workers share."""

from typing import Any, Literal

import pytest
import torch

from ffl_ray.config.settings import DataConfig
from ffl_ray.data import device_images, policies
from ffl_ray.data import digits as digits_file
from ffl_ray.data.augment import normalise
from ffl_ray.data.batches import Augmentation, Batch, EpochRequest, augmentation_of
from ffl_ray.data.dataset import Images
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.data.loader import load_train_val
from ffl_ray.data.shards import Shard
from ffl_ray.data.trivial_augment import trivial_augment
from ffl_ray.errors import DataError, SettingError

CPU = torch.device("cpu")
AUGMENTATIONS = [
    Augmentation(),
    Augmentation(trivial=True),
    Augmentation(mixing="mixup"),
    Augmentation(mixing="cutmix", mixing_alpha=0.5),
    Augmentation(trivial=True, mixing="mixup"),
]


def test_digits_are_real_and_split_once_and_for_all() -> None:
    data = load_train_val(DataConfig(val_fraction=0.2))

    assert (len(data.train), len(data.val)) == (1151, 287)
    assert data.image_shape == (1, 8, 8)
    assert data.split_hash == "45dfc41b70be4cf9"
    assert int(data.train.pixels.max()) == 255


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits  # a second, which no other test needs

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
    assert isinstance(data.train, Images)
    return DeviceImages(data.train, data.info, CPU)


def test_an_epoch_shows_every_image_once() -> None:
    images = digits()

    request = EpochRequest(batch_size=100, seed=0, epoch=0, indexed=True)
    batches = list(images.train_batches(request))

    assert [len(batch.labels) for batch in batches] == [100] * 11 + [51]
    places = torch.cat([batch.indices for batch in batches if batch.indices is not None])
    assert torch.equal(places.sort().values, torch.arange(1151))
    together = torch.cat([batch.labels for batch in batches])
    assert torch.equal(images.images.labels[places], together)
    assert torch.equal(together.bincount(), images.images.labels.bincount())


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_epochs_and_seeds_differ_and_each_can_be_repeated(augmentation: Augmentation) -> None:
    images = digits()

    def first(seed: int, epoch: int) -> torch.Tensor:
        batches = images.train_batches(
            EpochRequest(batch_size=64, seed=seed, epoch=epoch, augmentation=augmentation)
        )
        return next(batches).images

    assert torch.equal(first(0, 3), first(0, 3))
    assert not torch.equal(first(0, 3), first(0, 4))
    assert not torch.equal(first(0, 3), first(1, 3))


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("world_size", [2, 3])
def test_workers_share_the_very_batches_that_one_worker_sees(
    world_size: int, augmentation: Augmentation
) -> None:
    images = digits()

    def batches(shard: Shard) -> list[Batch]:
        return list(
            images.train_batches(
                EpochRequest(
                    batch_size=64,
                    seed=0,
                    epoch=1,
                    shard=shard,
                    augmentation=augmentation,
                    indexed=True,
                )
            )
        )

    alone = batches(Shard())
    parts = [batches(Shard(rank, world_size)) for rank in range(world_size)]

    for step, batch in enumerate(alone):
        shared = torch.cat([part[step].images for part in parts])
        assert torch.equal(shared, batch.images)
        assert torch.equal(torch.cat([part[step].labels for part in parts]), batch.labels)
        places = [part[step].indices for part in parts]
        assert batch.indices is not None
        assert torch.equal(torch.cat([x for x in places if x is not None]), batch.indices)
        assert all(part[step].global_size == len(batch.labels) for part in parts)


def test_a_last_batch_too_small_for_the_workers_is_left_out() -> None:
    images = digits()  # 1151 = 17 * 64 + 63 = 575 * 2 + 1

    def num_batches(**request: Any) -> int:
        return len(list(images.train_batches(EpochRequest(seed=0, epoch=0, **request))))

    assert num_batches(batch_size=2) == 575
    assert num_batches(batch_size=64, shard=Shard(0, 32)) == 17


def test_evaluation_shows_every_image_once_and_unchanged() -> None:
    images = digits()
    parts = [list(images.eval_batches(batch_size=50, shard=Shard(rank, 2))) for rank in (0, 1)]

    assert sum(len(batch.labels) for part in parts for batch in part) == len(images.images)
    whole = next(images.eval_batches(batch_size=50))
    assert torch.equal(torch.cat([parts[0][0].images, parts[1][0].images]), whole.images)


def test_a_mixed_image_has_the_next_one_of_the_global_batch_as_its_partner() -> None:
    images = digits()
    plain = list(images.train_batches(EpochRequest(batch_size=100, seed=0, epoch=2)))
    mixed = list(
        images.train_batches(
            EpochRequest(batch_size=100, seed=0, epoch=2, augmentation=Augmentation(mixing="mixup"))
        )
    )

    shares = []
    for batch, found in zip(plain, mixed, strict=True):
        own, other = batch.labels, batch.labels.roll(-1)
        shares.append(found.labels[own != other].gather(1, own[own != other, None])[0, 0])
        share, partners = shares[-1], batch.images.roll(-1, 0)
        blended = batch.images * share + partners * (1 - share)
        torch.testing.assert_close(found.images, blended, atol=1e-5, rtol=0)
        assert found.labels.sum(1).tolist() == pytest.approx([1.0] * len(own))
    assert len(set(map(float, shares))) == len(plain)  # one share for each batch


def test_many_steps_are_augmented_at_once_and_each_image_as_it_would_be_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = digits()
    calls = []

    def counted(pixels: torch.Tensor, seeds: list[int]) -> torch.Tensor:
        calls.append(len(seeds))
        return trivial_augment(pixels, seeds)

    monkeypatch.setattr(policies, "trivial_augment", counted)
    request = EpochRequest(100, seed=0, epoch=0, augmentation=Augmentation(trivial=True))
    together = list(images.train_batches(request))
    monkeypatch.setattr(device_images, "MADE_AT_ONCE", 1)
    alone = list(images.train_batches(request._replace(first_step=9)))

    assert calls == [1151, 100, 100, 51]
    for batch, one in zip(together[9:], alone, strict=True):
        assert torch.equal(batch.images, one.images)


def test_trivial_follows_the_standard_crops_and_flips() -> None:
    def info(augment: Literal["standard", "trivial", "none"]) -> tuple[int, bool]:
        found = load_train_val(DataConfig(augment=augment, flip=True)).info
        return found.crop_padding, found.flip

    assert [info("standard"), info("trivial"), info("none")] == [(1, True), (1, True), (0, False)]


def test_data_is_loaded_once_however_it_is_augmented() -> None:
    plain = load_train_val(DataConfig())

    changes = {"augment": "trivial", "mixing": "mixup", "crop_padding": 2, "crop_fill": "zero"}
    other = load_train_val(DataConfig.model_validate(changes))

    assert other.train.pixels is plain.train.pixels
    assert (plain.info.crop_padding, other.info.crop_padding) == (1, 2)
    assert (plain.info.crop_fill, other.info.crop_fill) == ("reflect", "zero")


def test_crops_filled_with_black_are_the_reflected_ones_but_for_their_border() -> None:
    request, found = EpochRequest(batch_size=256, seed=0, epoch=0), []
    for fill in ("reflect", "zero"):
        data = load_train_val(DataConfig(crop_padding=2, crop_fill=fill))
        assert isinstance(data.train, Images)
        found.append(next(DeviceImages(data.train, data.info, CPU).train_batches(request)).images)

    reflected, black = found
    other = black != reflected
    (dark,) = normalise(
        torch.zeros(1, 1, 1, 1), *map(torch.tensor, (data.info.mean, data.info.std))
    )
    assert bool(other.any())
    assert bool((black[other] == dark.item()).all())
    assert not other[:, :, 2:-2, 2:-2].any()


def test_the_settings_name_the_augmentation() -> None:
    settings = DataConfig(augment="trivial", mixing="cutmix", mixing_alpha=0.3)

    assert augmentation_of(settings) == Augmentation(True, "cutmix", 0.3)
    assert augmentation_of(DataConfig()) == Augmentation()
