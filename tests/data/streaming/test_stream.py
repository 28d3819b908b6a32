"""Images decoded from their files ahead of a training: what is served, and what goes wrong."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from support.streamed import CPU, SIZE, epoch, settings, streamed, write_jpegs

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.batches import Augmentation, Batch, EpochRequest, augmentation_of
from ffl_ray.data.dataset import Files, Images
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.data.loader import load_final, load_train_val, open_test
from ffl_ray.data.placement import streams
from ffl_ray.data.policies import cut_out
from ffl_ray.data.shards import Shard
from ffl_ray.data.streaming.decode import random_square
from ffl_ray.data.streaming.loader_process import Item, Recipe, decode
from ffl_ray.data.streaming.pool import LoaderPool
from ffl_ray.data.streaming.stream import StreamedImages, served
from ffl_ray.data.trivial_augment import trivial_augment
from ffl_ray.errors import DataError, SettingError


def assert_equal_batches(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert one.global_size == other.global_size


@pytest.mark.parametrize("augment", ["standard", "none"])
def test_order_labels_and_evaluation_are_those_of_images_in_memory(
    augment: str, folder: Path, pool: LoaderPool
) -> None:
    stream = load_train_val(settings(folder, augment=augment))
    memory = load_train_val(settings(folder, augment=augment, residency="memory"))
    assert isinstance(memory.train, Images)
    assert isinstance(stream.val, Files)
    train = StreamedImages(stream.train, stream.info, CPU, pool)  # type: ignore[arg-type]
    plain = DeviceImages(memory.train, memory.info, CPU)

    found, expected = epoch(train), epoch(plain)

    assert stream.split_hash == memory.split_hash
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.images, other.images) == (augment == "none")
    for rank in (0, 1):
        shard = Shard(rank, 2)
        parts = [
            list(served(part.val, part.info, CPU, pool).eval_batches(batch_size=5, shard=shard))
            for part in (stream, memory)
        ]
        assert_equal_batches(parts[0], parts[1])


@pytest.mark.parametrize(("device", "waits"), [("cpu", True), ("mps", True), ("cuda", False)])
def test_only_pinned_memory_is_copied_without_waiting(
    device: str, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned, asked = torch.zeros(1), []

    def to(tensor: torch.Tensor, device: torch.device, *, non_blocking: bool) -> torch.Tensor:
        asked.append((tensor is pinned, non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda _: pinned)
    monkeypatch.setattr(torch.Tensor, "to", to)

    images = cast(StreamedImages, SimpleNamespace(device=torch.device(device)))
    StreamedImages._moved(images, torch.ones(1))

    assert asked == [(not waits, not waits)]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"branch_seeds": (5, 6)},
        {"augmentation": Augmentation(mixing="mixup"), "num_views": 2},
        {"augmentation": Augmentation(mixing="cutmix")},
        {"augmentation": Augmentation(mixing="mixup"), "branch_seeds": (3, 9)},
    ],
)
def test_any_number_of_processes_and_workers_sees_the_same_batches(
    given: dict[str, Any], folder: Path, pool: LoaderPool
) -> None:
    given = given | {"indexed": True}
    alone = LoaderPool(1)
    expected = epoch(streamed(folder, alone), **given)
    alone.close()
    images = streamed(folder, pool)

    assert_equal_batches(epoch(images, **given), expected)
    assert_equal_batches(epoch(images, first_step=1, **given), expected[1:])
    parts = [epoch(images, shard=Shard(rank, 2), **given) for rank in (0, 1)]
    for first, second, whole in zip(*parts, expected, strict=True):
        assert torch.equal(torch.cat([first.images, second.images], -4), whole.images)
        dim = 1 if "branch_seeds" in given else 0
        assert torch.equal(torch.cat([first.labels, second.labels], dim), whole.labels)
        assert torch.equal(torch.cat([first.indices, second.indices], dim), whole.indices)
        if "augmentation" not in given:
            assert torch.equal(images.images.labels[whole.indices], whole.labels)


def test_epochs_seeds_and_views_differ(folder: Path, pool: LoaderPool) -> None:
    images = streamed(folder, pool)

    def first(**changes: object) -> torch.Tensor:
        return epoch(images, **changes)[0].images

    assert not torch.equal(first(), first(epoch=2))
    assert not torch.equal(first(), first(seed=4))
    views = first(num_views=2)
    assert torch.equal(views[0], first())
    assert not torch.equal(views[0], views[1])


def test_branches_with_batches_of_their_own_see_what_each_would_alone(
    folder: Path, pool: LoaderPool
) -> None:
    memory = load_train_val(settings(folder, augment="none", residency="memory"))
    assert isinstance(memory.train, Images)
    for images in (streamed(folder, pool), DeviceImages(memory.train, memory.info, CPU)):
        together = epoch(images, branch_seeds=(3, 9), num_views=1)

        for index, seed in enumerate((3, 9)):
            alone = epoch(images, seed=seed)
            for batch, one in zip(together, alone, strict=True):
                assert torch.equal(batch.images[index], one.images)
                assert torch.equal(batch.labels[index], one.labels)
                assert batch.num_images == one.num_images == len(one.labels)
        assert not torch.equal(together[0].labels[0], together[0].labels[1])


def test_an_epoch_left_early_disturbs_no_later_one(folder: Path, pool: LoaderPool) -> None:
    images = streamed(folder, pool)
    expected = epoch(images)
    left = images.train_batches(EpochRequest(batch_size=7, seed=0, epoch=0))
    next(left)

    assert_equal_batches(epoch(images), expected)
    with pytest.raises(RuntimeError, match="a later epoch of these images has begun"):
        next(left)


def test_trivial_augmentation_is_that_of_images_in_memory(folder: Path) -> None:
    path = str(folder / "train" / "ant" / "0.jpg")
    plain = random_square(path, SIZE, 5, flip=True)

    found = decode(Item(path, 5, "trivial"), Recipe(SIZE, flip=True))

    expected = trivial_augment(torch.from_numpy(plain.copy())[None], [5])[0]
    assert np.array_equal(found, expected.numpy())


@pytest.mark.skipif("FFL_RAY_TEST_SLOW" not in os.environ, reason="FFL_RAY_TEST_SLOW is not set")
def test_a_view_of_a_policy_of_its_own_is_that_of_images_in_memory(folder: Path) -> None:
    path, mean = str(folder / "train" / "ant" / "0.jpg"), (0.5, 0.25, 0.75)
    plain = torch.from_numpy(random_square(path, SIZE, 5, flip=True).copy())

    recipe = Recipe(SIZE, flip=True, mean=mean)
    found = [decode(Item(path, 5, policy), recipe) for policy in ("standard", "cutout")]

    cut = cut_out(plain[None], torch.tensor([5]), mean)[0]
    assert torch.equal(torch.from_numpy(found[0].copy()), plain)
    assert torch.equal(torch.from_numpy(found[1].copy()), cut)
    assert not torch.equal(cut, plain)


def test_loader_processes_augment_by_trivial_augment_too(folder: Path) -> None:
    trivial = LoaderPool(1, trivial=True)
    images = streamed(folder, trivial, augment="trivial")
    wanted = augmentation_of(settings(folder, augment="trivial"))

    found, again = (epoch(images, augmentation=wanted) for _ in range(2))

    plain = epoch(images)
    trivial.close()
    assert_equal_batches(found, again)
    assert [torch.equal(b.images, p.images) for b, p in zip(found, plain, strict=True)] != [
        True
    ] * 3


def test_what_fits_is_kept_in_memory_and_the_rule_looks_at_no_machine(folder: Path) -> None:
    auto = settings(folder, residency="auto", image_size=224)

    assert isinstance(load_train_val(settings(folder, residency="auto")).train, Images)
    assert [streams(auto, count) for count in (28_000, 29_000)] == [False, True]
    assert streams(settings(folder), 1)
    assert not streams(settings(folder, residency="memory"), 10**9)
    assert not streams(DataConfig(), 10**9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_padding": 2}, "data.crop_padding must be none where images are streamed .*not 2"),
        (
            {"crop_fill": "zero"},
            "data.crop_fill must be none where images are .*not zero",
        ),
        ({"name": "digits"}, "data.residency must be auto or memory when data.name is digits"),
    ],
)
def test_settings_that_do_not_go_with_streaming_are_refused(
    changes: dict[str, object], message: str, folder: Path
) -> None:
    with pytest.raises(SettingError, match=message):
        load_train_val(settings(folder, **changes))


def test_final_runs_and_the_test_split_stream_too(folder: Path, pool: LoaderPool) -> None:
    final = load_final(settings(folder))
    test, info, _ = open_test(settings(folder))

    assert isinstance(final.train, Files)
    assert (len(final.train), len(final.val), len(test)) == (24, 0, 4)
    (batch,) = served(test, info, CPU, pool).eval_batches(batch_size=10)
    in_memory = open_test(settings(folder, residency="memory")).images
    assert torch.equal(batch.labels, in_memory.labels)
    assert isinstance(test, Files)
    assert torch.equal(test.pixels, in_memory.pixels)


def test_opening_a_streamed_folder_decodes_nothing(tmp_path: Path) -> None:
    for name in ("train/a", "train/b"):
        (tmp_path / name).mkdir(parents=True)
        for index in range(10):
            (tmp_path / name / f"{index}.jpg").write_bytes(b"no image")

    data = load_train_val(settings(tmp_path))

    assert (len(data.train), len(data.val)) == (16, 4)
    assert data.image_shape == (3, SIZE, SIZE)


def test_a_damaged_image_is_named_and_the_others_are_still_served(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "train")
    broken = tmp_path / "train" / "bee" / "3.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    pool = LoaderPool(2)
    images = streamed(tmp_path, pool, val_fraction=0.1)

    with pytest.raises(DataError, match=r"bee/3\.jpg can't be read as an image: .*[Tt]runcated"):
        epoch(images)

    broken.write_bytes(whole)
    assert sum(len(batch.labels) for batch in epoch(images)) == 21  # 22 = 3 * 7 + 1
    pool.close()
