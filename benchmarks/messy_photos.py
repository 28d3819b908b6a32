"""A messy folder of photos, as people have it: `python -m benchmarks.messy_photos DATA PHOTOS`.

1,000 images of CIFAR-10, of five classes, as files of every kind that a folder collects over the
years: JPEGs in upper and lower case, PNGs with alpha, grey and 16-bit ones, of sizes between 48 and
200 pixels, in albums inside albums, among what operating systems and people leave there. The same
seed makes the same folder. The tutorial's afternoon (docs/tutorial.md) begins with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import CIFAR10

from benchmarks.common import ended
from ffl_ray.errors import DataError

CLASSES = {"Flugzeuge": 0, "Autos": 1, "Vögel": 2, "Katzen": 3, "Rehe im Wald": 4}
EACH = 200
LEFTOVERS = (".DS_Store", "Thumbs.db", "notes.txt", ".thumbnails/001.jpg", "__MACOSX/._001.jpg")


def main() -> None:
    """Make the folder, unless there is something at its place."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", help="folder of CIFAR-10, as torchvision lays it out")
    parser.add_argument("photos", type=Path, help="folder to be made")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        images = CIFAR10(args.data, train=True)
    except RuntimeError as error:
        raise DataError(f"DATA must be a folder of CIFAR-10, not {args.data}: {error}") from error
    if args.photos.exists():
        raise DataError(f"PHOTOS must be a folder that is not there yet, not {args.photos}")
    args.photos.mkdir(parents=True)
    make(images, args.photos, np.random.default_rng(args.seed))


def make(images: CIFAR10, photos: Path, random: np.random.Generator) -> None:
    """Every class's album, then what does not belong there."""
    labels = np.asarray(images.targets)
    for name, label in CLASSES.items():
        chosen = random.choice(np.flatnonzero(labels == label), EACH, replace=False)
        for number, index in enumerate(chosen):
            save(enlarged(images.data[index], random), place(photos / name, number), number)
    leave_behind(photos)


def enlarged(pixels: NDArray[np.uint8], random: np.random.Generator) -> Image.Image:
    """An image as a camera or a screenshot may have had it, of any size and shape."""
    width, height = random.integers(48, 200, size=2).tolist()
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def place(album: Path, number: int) -> Path:
    """Where a photo lies, without its ending: every fourth one in an album inside the album."""
    folder = album / "Sommer 2019" / "beste" if number % 4 == 3 else album
    folder.mkdir(parents=True, exist_ok=True)
    return folder / (f"IMG_{number:04d}" if number % 3 else f"Foto für {album.name} ({number})")


def save(photo: Image.Image, stem: Path, number: int) -> None:
    """Write a photo in one of the kinds of files that there are."""
    kinds = kinds_of(photo)
    for _ in range(number % 7):
        next(kinds)
    image, ending = next(kinds)
    image.save(stem.with_name(stem.name + ending), quality=90)


def kinds_of(photo: Image.Image) -> Iterator[tuple[Image.Image, str]]:
    """Seven kinds: three JPEGs, grey, and PNGs with colours, alpha, and 16 bits of grey."""
    grey = photo.convert("L")
    yield photo, ".jpg"
    yield photo, ".JPG"
    yield photo, ".jpeg"
    yield grey, ".jpg"
    yield photo, ".png"
    yield photo.convert("RGBA"), ".PNG"
    yield Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), ".png"


def leave_behind(photos: Path) -> None:
    """What no one wants to be trained on: hidden files, notes, an empty class, half a photo."""
    (photos / "Neuer Ordner").mkdir()
    for leftover in LEFTOVERS:
        path = photos / leftover
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"nothing to be seen here")
    album = photos / next(iter(CLASSES))
    (album / "Thumbs.db").write_bytes(b"nothing to be seen here")
    whole = sorted(album.glob("*.jpg"))[0]
    (album / "abgebrochen.jpg").write_bytes(whole.read_bytes()[:400])


if __name__ == "__main__":
    ended(main)
