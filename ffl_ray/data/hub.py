"""Hugging Face's data sets: `hf:NAME` as data.name, such as `hf:beans` or `hf:cars?label=maker`.

NAME is a folder (of `save_to_disk`, or of Parquet files, image folders, whatever `load_dataset`
reads; it begins at `data.dir` where that is set), else a data set of the hub, which is downloaded
only with `data.download`. Behind `?` may stand, with `&` between them: `image` and `label`, the
columns, where there are several, and `config`. A label is a ClassLabel, or texts, or numbers from
0 on.

`train` is the train split, `test` or else `validation` the test split; without these a fifth of
every class is set aside. The package `datasets` keeps rows in Arrow files
(Parquet is converted once, into its cache) in which each image's bytes lie as they are: they are
read from there, in any order, by processes that need neither `datasets` nor pyarrow. A row may
name an image file instead: one of the data set's own folder, or of the hub's cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import numpy as np
import torch

from ffl_ray.config.extras import import_extra
from ffl_ray.config.image_shapes import image_side
from ffl_ray.config.overrides import nearest
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import Files, Opened
from ffl_ray.data.folder import info_of_photos
from ffl_ray.data.held_back import check_classes, held_back, rest_of
from ffl_ray.data.hub_files import Rows, check_links, is_saved, places
from ffl_ray.data.tar_shards import MOST_CLASSES, names_by_class
from ffl_ray.errors import DataError, on_one_line
from ffl_ray.files import expanded

PREFIX = "hf:"
TESTS = ("test", "validation", "valid", "val")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class Asked(NamedTuple):
    """A data set's name in its parts."""

    name: str
    image: str | None = None
    label: str | None = None
    config: str | None = None


def asked_for(name: str) -> Asked:
    """The parts of `hf:NAME?image=COLUMN&label=COLUMN&config=NAME`.

    Raises:
        DataError: something else is asked for.
    """
    place, _, query = name.removeprefix(PREFIX).partition("?")
    found = dict(parse_qsl(query, keep_blank_values=True))
    unknown = next((key for key in found if key not in Asked._fields[1:]), None)
    if unknown is not None or not place:
        known = ", ".join(Asked._fields[1:])
        raise DataError(f"data.name: behind ? may stand {known}, not {unknown!r} of {name}")
    return Asked(place, **found)


def is_local(name: str, folder: str | None) -> Path | None:
    """The folder that a data set's name means; None for one of the hub."""
    place = asked_for(name).name
    path = (expanded(folder) if folder else Path()) / expanded(place)
    return path if path.is_dir() else None


def open_train(settings: DataConfig) -> Opened:
    """The images that may be trained on and validated with.

    Raises:
        DataError: there is no such data set, or no column of images, or of labels, or a row names
            a file outside its folder.
    """
    train, test = _train_and_test(settings)
    opened = _opened(settings, train)
    return opened if test is not None else rest_of(opened)


def find_test(settings: DataConfig) -> Opened:
    """The test split, no image of it decoded; raises as `open_train` does."""
    return open_test(settings)


def open_test(settings: DataConfig) -> Opened:
    """The images of the test split, or the fifth set aside; raises as `open_train` does."""
    train, test = _train_and_test(settings)
    opened = _opened(settings, train)
    if test is None:
        return held_back(opened)
    found = _opened(settings, test)
    rule = f"data.name: the test split of {settings.name} must hold the classes of train"
    check_classes(opened.info.classes, found.info.classes, rule)
    return found


def _train_and_test(settings: DataConfig) -> tuple[Rows, Rows | None]:
    """The train split and that of the test; of one split alone, whatever it is called, no test."""
    splits = _splits(settings)
    if len(splits) == 1:
        return next(iter(splits.values())), None
    if "train" not in splits:
        raise DataError(
            f"data.name: one split of {settings.name} must be called train, not {', '.join(splits)}"
        )
    return splits["train"], next((splits[name] for name in TESTS if name in splits), None)


def _splits(settings: DataConfig) -> dict[str, Rows]:
    """The splits by name, their rows mapped from files."""
    asked, local = asked_for(settings.name), is_local(settings.name, settings.dir)
    if local is None and not _HUB_NAME.fullmatch(asked.name):
        raise DataError(
            f"data.name: there is no folder {asked.name!r}, and the hub has no such name"
        )
    library = _library(settings.name)
    library.disable_progress_bars()
    if local:
        check_links(settings, local)
    try:
        with _offline(library, not settings.download):
            found = _loaded(library, asked, local)
    except DataError:
        raise
    except Exception as error:  # the hub's own errors have no common kind
        how = "" if local or settings.download else "; data.download=true fetches it from the hub"
        raise DataError(
            f"data.name: {settings.name} can't be opened: {type(error).__name__}: "
            f"{on_one_line(error)[:300]}{how}"
        ) from error
    return dict(found) if isinstance(found, Mapping) else {str(found.split): found}


def _loaded(library: Any, asked: Asked, local: Path | None) -> Any:
    if local and is_saved(local):
        return library.load_from_disk(str(local))
    return library.load_dataset(str(local or asked.name), asked.config)


@contextmanager
def _offline(library: Any, offline: bool) -> Iterator[None]:
    """Have the library ask the hub for nothing meanwhile."""
    config = library.config
    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = offline or before
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def _library(name: str) -> Any:
    return import_extra("datasets", "hf", f"data.name: {name}", DataError)


def _opened(settings: DataConfig, rows: Rows) -> Opened:
    library, asked = _library(settings.name), asked_for(settings.name)
    image = _column(settings, rows, "image", asked.image, _images(library, rows))
    label = _column(settings, rows, "label", asked.label, _labels(library, rows))
    classes, labels = _classes(settings, rows, label)
    keys = [b"%08d" % number for number in range(len(labels))]
    names = names_by_class(classes, labels.tolist(), keys)
    size = image_side(settings)
    packed = places(settings, rows, image, is_local(settings.name, settings.dir))
    files = Files(packed.files[0], names, torch.from_numpy(labels), size, packed)
    return Opened(files, info_of_photos(classes, size))


def _images(library: Any, rows: Rows) -> list[str]:
    """Columns of images: of the library's type, or bytes and a path as it would store them."""
    kind = library.Image
    return [
        name
        for name, feature in rows.features.items()
        if isinstance(feature, kind) or (isinstance(feature, dict) and "bytes" in feature)
    ]


def _labels(library: Any, rows: Rows) -> list[str]:
    """Columns of labels: those of the library's type; without one, what is called so."""
    named = [n for n, f in rows.features.items() if isinstance(f, library.ClassLabel)]
    return named or [name for name in rows.features if name in ("label", "labels", "class")]


def _column(
    settings: DataConfig, rows: Rows, what: str, asked: str | None, found: Sequence[str]
) -> str:
    """The column that is asked for, or the only one that there is."""
    there = list(rows.features)
    if asked is not None:
        if asked not in there:
            raise DataError(
                f"data.name: {settings.name} has no column {asked!r}{nearest(asked, there)}"
            )
        return asked
    if len(found) != 1:
        among = found or there
        raise DataError(
            f"data.name: {settings.name} must have one column of {what}s, or say which behind its "
            f"name (?{what}=COLUMN); it has {', '.join(among)}"
        )
    return found[0]


def _classes(
    settings: DataConfig, rows: Rows, label: str
) -> tuple[tuple[str, ...], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Names of the classes, and the number of each row's."""
    values = np.asarray(rows.data.column(label))
    names = getattr(rows.features[label], "names", None)
    if names is None and all(isinstance(value, str) for value in values.tolist()):
        texts, labels = np.unique(values.astype(str), return_inverse=True)
        names = texts.tolist()
    elif values.dtype.kind in "iu":
        labels = values
        most = min(int(values.max(initial=0)) + 1, MOST_CLASSES)
        names = names or [str(number) for number in range(most)]
    else:
        raise DataError(
            f"data.name: column {label} of {settings.name} must hold classes, not {values.dtype} "
            f"or nothing in some rows"
        )
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if low < 0 or high >= len(names):
        raise DataError(
            f"data.name: column {label} of {settings.name} must be from 0 to {len(names) - 1}, not "
            f"from {low} to {high}: the split may have no labels"
        )
    if len(set(names)) < max(2, len(names)):
        raise DataError(
            f"data.name: {settings.name} must have two classes or more, each with a name of its "
            f"own, not {names[:5]}"
        )
    return tuple(map(str, names)), labels.astype(np.int64)
