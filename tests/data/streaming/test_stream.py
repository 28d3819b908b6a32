"""Images decoded from their files ahead of a training: what is served, and what goes wrong."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.batches import Augmentation, Batch, EpochRequest, augmentation_of
from ffl_ray.data.dataset import Files, Images
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.data.loader import load_final, load_train_val, open_test
from ffl_ray.data.placement import streams
from ffl_ray.data.shards import Shard
from ffl_ray.data.streaming.decode import crop_box, middle_square, random_square
from ffl_ray.data.streaming.loader_process import Item, Recipe, decode
from ffl_ray.data.streaming.pool import LoaderPool
from ffl_ray.data.streaming.stream import StreamedImages, served
from ffl_ray.data.trivial_augment import trivial_augment
from ffl_ray.errors import DataError, SettingError

CPU = torch.device("cpu")
SIZE = 16


def write_jpegs(root: Path, count: int = 12, classes: tuple[str, ...] = ("ant", "bee")) -> Path:
    generator = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(count):
            coarse = generator.integers(0, 256, (3, 4, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((40 + index, 36), Image.Resampling.BICUBIC)
            picture.save(root / name / f"{index}.jpg", quality=90)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    write_jpegs(root / "train")
    write_jpegs(root / "val", 2)
    return root


@pytest.fixture(scope="module")
def pool() -> Iterator[LoaderPool]:
    found = LoaderPool(2)
    yield found
    found.close()


def settings(root: Path, **changes: object) -> DataConfig:
    given = {"name": "folder", "dir": str(root), "image_size": SIZE, "val_fraction": 0.25}
    return DataConfig.model_validate(given | {"residency": "stream"} | changes)


def streamed(root: Path, pool: LoaderPool, **changes: object) -> StreamedImages:
    data = load_train_val(settings(root, **changes))
    found = served(data.train, data.info, CPU, pool)
    assert isinstance(found, StreamedImages)
    return found


def epoch(images: StreamedImages | DeviceImages, **changes: object) -> list[Batch]:
    given = {"batch_size": 7, "seed": 3, "epoch": 1, **changes}
    return list(images.train_batches(EpochRequest(**given)))  # type: ignore[arg-type]


def assert_equal_batches(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert one.global_size == other.global_size


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


@pytest.mark.parametrize(
    ("augmentation", "num_views"),
    [(Augmentation(), 1), (Augmentation(mixing="mixup"), 2), (Augmentation(mixing="cutmix"), 1)],
)
def test_any_number_of_processes_and_workers_sees_the_same_batches(
    augmentation: Augmentation, num_views: int, folder: Path, pool: LoaderPool
) -> None:
    given = {"augmentation": augmentation, "num_views": num_views}
    alone = LoaderPool(1)
    expected = epoch(streamed(folder, alone), **given)
    alone.close()
    images = streamed(folder, pool)

    assert_equal_batches(epoch(images, **given), expected)
    assert_equal_batches(epoch(images, first_step=1, **given), expected[1:])
    parts = [epoch(images, shard=Shard(rank, 2), **given) for rank in (0, 1)]
    for first, second, whole in zip(*parts, expected, strict=True):
        dim = 0 if num_views == 1 else 1
        assert torch.equal(torch.cat([first.images, second.images], dim), whole.images)
        assert torch.equal(torch.cat([first.labels, second.labels]), whole.labels)


def test_epochs_seeds_and_views_differ(folder: Path, pool: LoaderPool) -> None:
    images = streamed(folder, pool)

    def first(**changes: object) -> torch.Tensor:
        return epoch(images, **changes)[0].images

    assert not torch.equal(first(), first(epoch=2))
    assert not torch.equal(first(), first(seed=4))
    views = first(num_views=2)
    assert torch.equal(views[0], first())
    assert not torch.equal(views[0], views[1])


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

    found = decode(Item(path, 5), Recipe(SIZE, flip=True, trivial=True))

    expected = trivial_augment(torch.from_numpy(plain.copy())[None], [5])[0]
    assert np.array_equal(found, expected.numpy())


@pytest.mark.skipif("FFL_RAY_TEST_SLOW" not in os.environ, reason="FFL_RAY_TEST_SLOW is not set")
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
    test, info = open_test(settings(folder))

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


def test_a_killed_loader_process_is_a_clear_error(folder: Path) -> None:
    pool = LoaderPool(2)
    images = streamed(folder, pool)
    batches = images.train_batches(EpochRequest(batch_size=2, seed=0, epoch=0))
    next(batches)
    os.kill(pool.pids[1], signal.SIGKILL)

    with pytest.raises(
        ChildProcessError, match=r"\(process \d+\) was killed by SIGKILL: if memory"
    ):
        list(batches)

    pool.close()
    assert len(epoch(images)) == 3  # new processes
    pool.close()


KILLED = """
import sys, time
from ffl_ray.data.streaming.loader_process import Item, Recipe, decode
from ffl_ray.data.streaming.pool import LoaderPool
from ffl_ray.data.streaming.loader_process import Item, Recipe
pool = LoaderPool(2)
found = pool.squares(([Item(sys.argv[1])] for _ in range(10**9)), Recipe(8), 1)
next(found)
print(*pool.pids, flush=True)
for _ in found: pass
"""


def test_no_loader_process_outlives_a_killed_training(folder: Path) -> None:
    path = str(next((folder / "train" / "ant").iterdir()))
    training = subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True
    )
    assert training.stdout is not None
    pids = [int(pid) for pid in training.stdout.readline().split()]
    assert len(pids) == 2

    training.kill()
    training.wait()
    training.stdout.close()

    until = time.monotonic() + 10
    while any(_lives(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    assert [_lives(pid) for pid in pids] == [False, False]


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_a_grey_or_palette_image_becomes_three_channels(tmp_path: Path) -> None:
    for mode in ("L", "P", "CMYK", "RGBA"):
        path = tmp_path / f"{mode}.{'jpg' if mode in ('L', 'CMYK') else 'png'}"
        Image.new("RGB", (20, 20), (90, 90, 90)).convert(mode).save(path)

        assert random_square(path, 8, 0, flip=True).shape == (8, 8, 3)
        assert middle_square(path, 8).shape == (8, 8, 3)
