"""Image files in, classes and probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ffl_ray.data.streaming.decode import from_middle_square
from ffl_ray.data.streaming.image_file import ENDINGS, NOT_READ, image_names
from ffl_ray.errors import on_one_line
from ffl_ray.export.model import Array, Model


class Prediction(NamedTuple):
    """An image's likeliest classes, with their probabilities."""

    path: Path
    classes: list[tuple[str, float]]


class Unreadable(NamedTuple):
    """An image that could not be classified."""

    path: Path
    reason: str


def image_files(given: Iterable[str | Path]) -> Iterator[Path | Unreadable]:
    """The given files, and the images of given folders in order of path.

    Those of a kind that is not read are among them: each is said to be unreadable.
    """
    for path in map(Path, given):
        if not path.is_dir():
            yield path
            continue
        names = image_names(str(path), endings=(*ENDINGS, *NOT_READ))
        inside = sorted(path / name for name in names)
        if not inside:
            yield Unreadable(path, f"the folder holds no image ({', '.join(ENDINGS)})")
        yield from inside


def classify(
    model: Model, files: Iterable[Path | Unreadable], top_k: int, batch_size: int
) -> Iterator[Prediction | Unreadable]:
    """One answer per file, in order.

    Args:
        top_k: likeliest classes of each; all where there are fewer.
        batch_size: files in memory at once.
    """
    waiting = iter(files)
    while batch := list(islice(waiting, batch_size)):
        read = [_read(model, file) for file in batch]
        arrays = [array for array in read if not isinstance(array, Unreadable)]
        ranked = iter(_ranked(model, np.stack(arrays), top_k) if arrays else ())
        for file, found in zip(batch, read, strict=True):
            if isinstance(file, Unreadable):
                yield file
            elif isinstance(found, Unreadable):
                yield found
            else:
                yield Prediction(file, next(ranked))


def _read(
    model: Model, file: Path | Unreadable
) -> Float[Array, "channels height width"] | Unreadable:
    if isinstance(file, Unreadable):
        return file
    try:
        pixels = from_middle_square(file, model.about.image_shape)
    except FileNotFoundError:
        return Unreadable(file, "no such file")
    except OSError as error:
        return Unreadable(file, f"can't be read as an image: {on_one_line(error)}")
    scaled: Float[Array, "channels height width"] = pixels.transpose(2, 0, 1) / np.float32(255)
    return scaled


def _ranked(
    model: Model, images: Float[Array, "batch channels height width"], top_k: int
) -> list[list[tuple[str, float]]]:
    logits = model.run(np.ascontiguousarray(images, dtype=np.float32)).astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :top_k]
    return [
        [(model.about.classes[i], float(row[i])) for i in best]
        for row, best in zip(shares, order, strict=True)
    ]
