"""Image files as arrays: the same for training on a folder and for classifying files later."""

from __future__ import annotations

import math
import random

import numpy as np
from PIL.Image import Image, Resampling

from ffl_ray.data.streaming.image_file import LYING, Source, opened, orientation, upright

CROP_SCALE = (0.08, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
CROP_TRIES = 10

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Square = Pixels


def middle_square(source: Source, size: int, channels: int = 3) -> Square:
    """The middle square of an image file, resized: pixels [size, size, channels].

    Args:
        channels: 3 for RGB, 1 for grey.

    Raises:
        OSError: there is no such file, or an `UnreadableImageError`.
    """
    return from_middle_square(source, (channels, size, size))


def from_middle_square(source: Source, image_shape: tuple[int, int, int]) -> Pixels:
    """The middle square of an image file, resized to what may be none: [height, width, channels].

    Args:
        image_shape: channels, height and width.

    Raises:
        OSError: as `middle_square`.
    """
    with opened(source) as image:
        return middle_of(image, image_shape)


def middle_of(image: Image, image_shape: tuple[int, int, int]) -> Pixels:
    """As `from_middle_square`, of an image that is opened."""
    channels, height, width = image_shape
    image = upright(image, channels)
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    box = (left, top, left + side, top + side)
    return np.array(image.resize((width, height), box=box)).reshape(height, width, channels)


def random_square(source: Source, size: int, seed: int, *, flip: bool) -> Square:
    """A random part of an image file, resized to a square and maybe mirrored: RGB pixels.

    Inception's crop (Szegedy et al. 2014, arXiv:1409.4842, section 6) as torchvision's
    RandomResizedCrop draws it, then a mirror image for one in two. A JPEG is decoded at the
    smallest of the scales 1, 1/2, 1/4 and 1/8 that still gives the crop as many pixels as the
    square has: the decoder then leaves out the high frequencies that shrinking would remove.

    Args:
        seed: fixes crop and mirroring, on any machine.
        flip: mirroring is allowed.

    Raises:
        OSError: there is no such file, or an `UnreadableImageError`.
    """
    draws = random.Random(seed)
    with opened(source) as image:
        lying = orientation(image) in LYING
        width, height = _swapped(image.size) if lying else image.size
        left, top, across, down = crop_box(width, height, draws)
        wanted = math.ceil(size * width / across), math.ceil(size * height / down)
        image.draft("RGB", _swapped(wanted) if lying else wanted)
        turned = upright(image, 3)
        right, bottom = left + across, top + down
        x, y = turned.size[0] / width, turned.size[1] / height
        box = (left * x, top * y, right * x, bottom * y)
        square = np.asarray(turned.resize((size, size), Resampling.BILINEAR, box=box))
    return square[:, ::-1] if flip and draws.random() < 0.5 else square


def _swapped(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    return height, width


def crop_box(width: int, height: int, draws: random.Random) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random crop.

    Its area is a uniform share of the image's, and its aspect ratio log-uniform; a crop that
    does not fit is drawn again, and the tenth time the largest middle one is taken.
    """
    for _ in range(CROP_TRIES):
        area = width * height * draws.uniform(*CROP_SCALE)
        ratio = math.exp(draws.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            return (
                int(draws.random() * (width - across + 1)),
                int(draws.random() * (height - down + 1)),
                across,
                down,
            )
    across = min(width, round(height * CROP_RATIO[1]))
    down = min(height, round(width / CROP_RATIO[0]))
    return (width - across) // 2, (height - down) // 2, across, down
