"""Image files as arrays: the same for training on a folder and for classifying files later."""

from pathlib import Path

import numpy as np
from PIL import Image

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def middle_square(
    path: Path, size: int, channels: int = 3
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The middle square of an image file, resized: pixels [size, size, channels].

    Args:
        channels: 3 for RGB, 1 for grey.

    Raises:
        OSError: the file can't be read, or is no image.
    """
    with Image.open(path) as image:
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        box = (left, top, left + side, top + side)
        colours = image.convert("RGB" if channels == 3 else "L")
        return np.array(colours.resize((size, size), box=box)).reshape(size, size, channels)
