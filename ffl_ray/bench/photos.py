"""Image files that cost what photographs cost: smoothed noise, seeded, as JPEG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 500, 375
SLOPE = 1.05
QUALITY = 90
NUM_SCENES = 16
NUM_CLASSES = 4
CONTRAST, BRIGHTNESS = 55.0, 118.0
GREY_SHARE, COLOUR_SHARE = 0.9, 0.3


def write_photos(folder: Path, count: int, seed: int = 0) -> None:
    """JPEG files of 500x375 and about 110 kB, ImageNet's mean size, in class folders of train/.

    Amplitudes fall as the frequency, as those of natural images do (Field 1987, J. Opt. Soc. Am.
    A 4, 2379), and colours are mostly common to the three channels. Sixteen scenes are computed;
    the other files show them shifted.
    """
    draws = np.random.default_rng(seed)
    scenes = [_scene(draws) for _ in range(min(count, NUM_SCENES))]
    for index in range(count):
        shift = draws.integers(0, (HEIGHT, WIDTH))
        pixels = np.roll(scenes[index % len(scenes)], shift, axis=(0, 1))
        place = folder / "train" / f"class{index % NUM_CLASSES}" / f"{index:06d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place, quality=QUALITY)


def _scene(draws: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    grey = _smooth_noise(draws)
    channels = [GREY_SHARE * grey + COLOUR_SHARE * _smooth_noise(draws) for _ in range(3)]
    pixels = BRIGHTNESS + CONTRAST * np.stack(channels, axis=-1)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _smooth_noise(
    draws: np.random.Generator,
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Noise of unit deviation whose amplitudes fall with the frequency."""
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None, :])
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(draws.standard_normal((HEIGHT, WIDTH))) / frequency**SLOPE
    noise = np.fft.irfft2(spectrum, s=(HEIGHT, WIDTH))
    return np.asarray(noise / noise.std())
