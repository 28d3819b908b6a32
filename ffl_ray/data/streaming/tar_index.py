"""Where the images of tar shards are, and which class each is of: read once, then kept."""

from __future__ import annotations

import functools
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ffl_ray.data.streaming.image_file import ENDINGS
from ffl_ray.data.streaming.index_file import Arrays, kept_arrays
from ffl_ray.errors import DataError

MOST_LABEL_BYTES = 2**20


class Sample(NamedTuple):
    """An image of a shard.

    Attributes:
        key: its name in the shard.
        first: byte of the shard where it begins.
        size: of it, in bytes.
        label: text of its class.
    """

    key: bytes
    first: int
    size: int
    label: str


@functools.lru_cache(maxsize=4)
def tar_index(shards: tuple[str, ...]) -> Arrays:
    """The index of shards, read from the headers of what they hold.

    Returns:
        `keys`, of each image; `places` [images, 3], its shard's number, first byte and bytes;
        `labels`, its class as a number of `texts`, in which each class's text stands once.

    Raises:
        DataError: a shard is no plain tar file, or a sample lacks its image or class.
    """
    return kept_arrays(shards, lambda: _read(shards))


def _read(shards: tuple[str, ...]) -> Arrays:
    keys: list[bytes] = []
    labels: list[str] = []
    places: list[tuple[int, int, int]] = []
    for number, path in enumerate(shards):
        shard = os.fsencode(f"{Path(path).name}:")
        for sample in samples(path):
            keys.append(shard + sample.key)
            labels.append(sample.label)
            places.append((number, sample.first, sample.size))
    if not places:
        raise DataError(f"data.name: {shards[0]} holds no images ({', '.join(ENDINGS)})")
    texts = sorted(set(labels))
    number_of = {text: number for number, text in enumerate(texts)}
    return {
        "keys": np.array(keys),
        "labels": np.array([number_of[label] for label in labels], np.int32),
        "places": np.array(places, np.int64),
        "texts": np.array([text.encode(errors="replace") for text in texts]),
    }


def samples(path: str) -> Iterator[Sample]:
    """The samples of a shard, in its order; what is neither image nor class is passed over.

    Raises:
        DataError: it is no plain tar file, or a sample lacks its image or class.
    """
    found: dict[str, tarfile.TarInfo] = {}
    before = ""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.size < 0:  # tarfile would read the same header for ever
                    raise tarfile.ReadError(f"{member.name[:80]!r} claims {member.size} bytes")
                key, ending = _parts(member.name)
                if not member.isreg() or not ending:
                    continue
                if key != before and found:
                    yield _sample(tar, path, before, found)
                    found = {}
                before = key
                found[ending] = member
            if found:
                yield _sample(tar, path, before, found)
    except (tarfile.TarError, EOFError, OverflowError, RecursionError) as error:
        raise DataError(
            f"data.name: {path} must be a plain tar file, which images can be read out of (unpack "
            f"a compressed one): {error}"
        ) from error


def _parts(name: str) -> tuple[str, str]:
    """A member's key and its ending, which is all behind the first dot of its file's name."""
    folder, slash, file = name.rpartition("/")
    stem, _, ending = file.partition(".")
    return f"{folder}{slash}{stem}", ending.lower() if stem else ""


def _sample(
    tar: tarfile.TarFile, path: str, key: str, members: dict[str, tarfile.TarInfo]
) -> Sample:
    images = [ending for ending in members if f".{ending}" in ENDINGS]
    label = _label(tar, members)
    if len(images) != 1 or label is None:
        what = "one image" if len(images) != 1 else "a class (.cls, or label in .json)"
        raise DataError(
            f"data.name: a sample must have {what}, and {key!r} of {path} has {', '.join(members)}"
        )
    image = members[images[0]]
    name = os.fsencode(f"{key}.{images[0]}")
    return Sample(name, image.offset_data, image.size, label)


def _label(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> str | None:
    """The text of a sample's class: of .cls, else the label in .json."""
    ending = next((ending for ending in ("cls", "json") if ending in members), None)
    file = None if ending is None else tar.extractfile(members[ending])
    if file is None:
        return None
    text = file.read(MOST_LABEL_BYTES).decode("utf-8", "replace").strip()
    if ending == "cls":
        return text or None
    try:
        found = json.loads(text).get("label")
    except (ValueError, AttributeError, RecursionError):
        return None
    return str(found) if isinstance(found, str | int) else None
