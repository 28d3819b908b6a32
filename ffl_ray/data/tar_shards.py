"""WebDataset's shards: `wds:SHARDS` as data.name, such as `wds:train-{000..009}.tar`.

SHARDS are paths of plain tar files, with braces and `*`, or a folder that holds them at any depth;
they begin at `data.dir` where that is set. A sample is what has one name up to its first dot, side
by side in a shard: an image (`.jpg`, `.png`, ...), and its class in `.cls` (a number or a name) or
as `label` in `.json`. Names of numbered classes are the lines of a `classnames.txt` beside the
shards or above them.

A shard with the word `train` in its name, or inside a folder `train`, is of the train split, and
those of `test` or else `val` are the test split; of shards of one kind a fifth of every class is
set aside. A
stream has no order that a split could be drawn in, so every shard's headers are read once a
machine, and an index is kept of where each image begins: images are then read from the shards
themselves, in any order, and nothing is unpacked.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ffl_ray.config.image_shapes import image_side
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import Files, Opened, Packed
from ffl_ray.data.folder import info_of_photos
from ffl_ray.data.held_back import check_classes, held_back, rest_of
from ffl_ray.data.streaming.tar_index import tar_index
from ffl_ray.errors import DataError
from ffl_ray.files import expanded

PREFIX = "wds:"
CLASS_NAMES = "classnames.txt"
MOST_CLASSES = 100_000
MOST_SHARDS = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_ROLE = re.compile(r"(?<![a-z])(train|test|val)(?:ing|id|idation)?(?![a-z])", re.IGNORECASE)


class Shards(NamedTuple):
    """The shards of a data set; without those of a test split, all that there is."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def open_train(settings: DataConfig) -> Opened:
    """The images that may be trained on and validated with.

    Raises:
        DataError: a shard is missing, is no tar file, or holds a sample without image or class.
    """
    shards = _shards(settings)
    opened = _opened(settings, shards.train, _classes(shards))
    return opened if shards.test else rest_of(opened)


def find_test(settings: DataConfig) -> Opened:
    """The test split, from the shards' index; raises as `open_train` does."""
    return open_test(settings)


def open_test(settings: DataConfig) -> Opened:
    """The images of the test shards, or the fifth set aside; raises as `open_train` does."""
    shards = _shards(settings)
    classes = _classes(shards)
    if not shards.test:
        return held_back(_opened(settings, shards.train, classes))
    found = _opened(settings, shards.test, classes)
    there = [name for name, count in zip(classes, found.class_counts, strict=True) if count]
    rule = f"data.name: the test shards of {settings.name} must hold every class"
    check_classes(classes, there, rule)
    return found


def _shards(settings: DataConfig) -> Shards:
    text = settings.name.removeprefix(PREFIX)
    if "://" in text:
        raise DataError(
            f"data.name: images are read from any place of a shard, so shards must lie on this "
            f"machine or on a disk that it mounts: copy those of {settings.name} there"
        )
    base = expanded(settings.dir) if settings.dir else Path()
    paths = [path for one in expanded_braces(text) for path in _matching(base / expanded(one))]
    if not paths:
        raise DataError(f"data.name: there is no tar file at {base / text}")
    roles = {path: _role(path) for path in dict.fromkeys(paths)}
    if len(set(roles.values())) == 1:
        return Shards(tuple(roles), ())
    if "train" not in roles.values():
        named = next(path for path, role in roles.items() if role is not None)
        raise DataError(
            f"data.name: beside shards like {named}, which are no training data, there must be "
            f"some called train*: rename the others, or name only those to train on"
        )
    unknown = next((path for path, role in roles.items() if role is None), None)
    if unknown:
        raise DataError(
            f"data.name: beside shards train* others must be called test* or val*, not {unknown}"
        )
    test = "test" if "test" in roles.values() else "val"
    train, held = (tuple(p for p, r in roles.items() if r == role) for role in ("train", test))
    return Shards(train, held)


def _matching(path: Path) -> list[str]:
    """The shards of one path: those in a folder, those of a pattern, or itself."""
    if path.is_dir():
        return sorted(map(str, path.rglob("*.tar")))
    if any(letter in str(path) for letter in "*?["):
        return sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    if not path.is_file():
        raise DataError(f"data.name: there is no shard {path}")
    return [str(path)]


def _role(path: str) -> str | None:
    """The split that a shard's name says at its begin, else anywhere; else its nearest folder."""
    file = Path(path)
    found = (_ROLE.match(file.name), _ROLE.search(file.name), *map(_role_of, file.parents))
    match = next((match for match in found if match), None)
    return match[1].lower() if match else None


def _role_of(folder: Path) -> re.Match[str] | None:
    return _ROLE.fullmatch(folder.name)


def expanded_braces(text: str) -> list[str]:
    """Every path that braces stand for: `{a,b}`, and `{000..009}` with its zeros.

    Raises:
        DataError: they stand for more than a million.
    """
    match = _BRACES.search(text)
    if match is None:
        return [text]
    ends = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", match[1])
    words: Sequence[str] = match[1].split(",")
    if ends:
        first, last = map(int, ends.groups())
        if abs(last - first) >= MOST_SHARDS:
            raise DataError(f"data.name: {match[0]} stands for more than {MOST_SHARDS:,} shards")
        width = len(ends[1]) if ends[1].startswith("0") else 0
        step = 1 if last >= first else -1
        words = [f"{number:0{width}}" for number in range(first, last + step, step)]
    head, tail = text[: match.start()], text[match.end() :]
    return [whole for word in words for whole in expanded_braces(f"{head}{word}{tail}")]


def _opened(settings: DataConfig, shards: tuple[str, ...], classes: tuple[str, ...]) -> Opened:
    index = tar_index(shards)
    number_of = {name: number for number, name in enumerate(classes)}
    texts = [text.decode() for text in index["texts"].tolist()]
    numbers = [_class_number(text, number_of) for text in texts]
    lost = [text for text, number in zip(texts, numbers, strict=True) if number is None]
    if lost:
        raise DataError(
            f"data.name: a class of {settings.name} must be one of {len(classes)} "
            f"({', '.join(classes[:5])}, ...), not {lost[0][:80]!r}"
        )
    labels = torch.tensor(numbers)[torch.from_numpy(index["labels"].astype(np.int64))]
    size = image_side(settings)
    names = names_by_class(classes, labels.tolist(), index["keys"].tolist())
    folder = str(Path(shards[0]).parent)
    files = Files(folder, names, labels, size, Packed(shards, index["places"]))
    return Opened(files, info_of_photos(classes, size))


def names_by_class(
    classes: Sequence[str], labels: Sequence[int], keys: Sequence[bytes]
) -> np.ndarray[tuple[int], np.dtype[np.bytes_]]:
    """Names of images inside larger files, in the form of a folder's: CLASS/KEY."""
    folders = [os.fsencode(name.replace("/", "_")) + b"/" for name in classes]
    pairs = zip(labels, keys, strict=True)
    return np.array([folders[label] + key.replace(b"/", b"_") for label, key in pairs])


def _class_number(text: str, number_of: dict[str, int]) -> int | None:
    found = number_of.get(text)
    if found is None and _is_number(text) and int(text) < len(number_of):
        return int(text)
    return found


def _classes(shards: Shards) -> tuple[str, ...]:
    """Names of the classes: of a list beside the shards, else as the samples say them."""
    folder = Path(shards.train[0]).parent
    lists = [place / CLASS_NAMES for place in (folder, folder.parent)]
    listed = next((file for file in lists if file.is_file()), None)
    if listed is not None:
        lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.strip() for line in lines if line.strip()]
    else:
        names = _numbered([text.decode() for text in tar_index(shards.train)["texts"].tolist()])
    if len(set(names)) < max(2, len(names)):
        raise DataError(
            f"data.name: there must be two classes or more, each with a name of its own, not "
            f"{names[:5]} of {listed or folder}"
        )
    return tuple(names)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10  # Python reads none of thousands of digits


def _numbered(names: list[str]) -> list[str]:
    """Names of classes; of numbers all from 0 on."""
    if not all(map(_is_number, names)):
        return names
    most = max(map(int, names))
    if most >= MOST_CLASSES:
        raise DataError(f"data.name: a class number must be below {MOST_CLASSES}, not {most}")
    return [str(number) for number in range(most + 1)]
