"""Where the images of a Hugging Face data set lie: in its Arrow files, or in files of their own.

Rows and lists of files may be somebody else's, and name any file: what leads outside is refused.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import Packed
from ffl_ray.errors import DataError, on_one_line

WHOLE = -1  # bytes of an image that is a file of its own

Rows = Any
"""A `datasets.Dataset`: the package has no types that are checked here."""


def is_saved(folder: Path) -> bool:
    """Whether a folder is one of `save_to_disk`."""
    return any((folder / mark).is_file() for mark in ("dataset_dict.json", "state.json"))


def places(settings: DataConfig, rows: Rows, image: str, local: Path | None) -> Packed:
    """Where the bytes of each row's image lie in the Arrow files, or which file it is.

    Args:
        image: the column.
        local: the data set's own folder; none: it is one of the hub.

    Raises:
        DataError: images lie in both, or a file outside the data set's folder.
    """
    files = [str(file["filename"]) for file in rows.cache_files]
    if local and is_saved(local):
        _check_inside(settings, [local], files)
    found = [_in_file(settings, path, number, image) for number, path in enumerate(files)]
    packed = np.concatenate([part for part, _ in found]) if found else np.empty((0, 3), np.int64)
    own = [path for _, paths in found for path in paths]
    if len(packed) + len(own) != len(rows) or (own and len(packed)):
        raise DataError(
            f"data.name: the images of {settings.name} must all lie in its Arrow files or all in "
            f"files of their own: save it anew with save_to_disk"
        )
    if not own:
        return Packed(tuple(files), packed)
    _check_inside(settings, _own_folders(local), own)
    whole = [(number, 0, WHOLE) for number in range(len(own))]
    return Packed(tuple(own), np.array(whole, np.int64))


def check_links(settings: DataConfig, local: Path) -> None:
    """Check that no link in a data set's own folder leads out of it, but into the hub's cache.

    Raises:
        DataError: one does.
    """
    links = (
        os.path.join(place, name)  # noqa: PTH118
        for place, folders, files in os.walk(local)
        for name in (*folders, *files)
        if os.path.islink(os.path.join(place, name))  # noqa: PTH114, PTH118
    )
    _check_inside(settings, [local, _hub_cache()], links)


def _own_folders(local: Path | None) -> list[Path]:
    """The folders in which a data set's image files lie: its own, and the caches of what is packed.

    Args:
        local: its own folder; none: it is one of the hub.
    """
    if local and is_saved(local):
        return [local]
    config = importlib.import_module("datasets").config
    extracted = Path(config.EXTRACTED_DATASETS_PATH)  # may lie outside the downloads
    if local:
        return [local, extracted]
    return [_hub_cache(), Path(config.DOWNLOADED_DATASETS_PATH), extracted]


def _hub_cache() -> Path:
    return Path(importlib.import_module("huggingface_hub").constants.HF_HUB_CACHE)


def _check_inside(settings: DataConfig, folders: Sequence[Path], paths: Iterable[str]) -> None:
    """Check that files lie in folders of a data set, as a file of somebody else's names them.

    Raises:
        DataError: one leads elsewhere, be it by a link.
    """
    real = [folder.resolve() for folder in folders]

    def is_inside(place: str) -> bool:
        there = Path(place.replace("\0", "")).resolve()
        return any(there.is_relative_to(folder) for folder in real)

    inside: dict[str, bool] = {}
    for path in paths:
        parent = os.path.dirname(path)  # noqa: PTH120
        if parent not in inside:
            inside[parent] = is_inside(parent)
        is_link = os.path.islink(path)  # noqa: PTH114
        if not inside[parent] or (is_link and not is_inside(path)):
            raise DataError(
                f"data.name: the files of {settings.name} must lie in its own folder, "
                f"{folders[0]}, not at {on_one_line(path)[:300]!r}{', a link' * is_link}"
            )


def _in_file(
    settings: DataConfig, path: str, number: int, image: str
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.int64]], list[str]]:
    """Places of the images in one Arrow file; or the paths of those that lie outside."""
    pyarrow = importlib.import_module("pyarrow")
    mapped = pyarrow.memory_map(path).read_buffer()
    found: list[Any] = [np.empty((0, 3), np.int64)]
    own: list[str] = []
    for batch in pyarrow.ipc.open_stream(mapped):
        column = batch.column(image)
        kept = column.field("bytes")
        if kept.null_count == len(kept):
            own += [str(Path(value)) for value in column.field("path").to_pylist() if value]
            continue
        if kept.null_count:
            raise DataError(f"data.name: {settings.name} has rows without an image ({path})")
        wide = pyarrow.types.is_large_binary(kept.type)
        if not wide and not pyarrow.types.is_binary(kept.type):
            raise DataError(f"data.name: images of {settings.name} must be bytes, not {kept.type}")
        _, ends, data = kept.buffers()
        bounds = np.frombuffer(ends, np.int64 if wide else np.int32)
        bounds = bounds[kept.offset : kept.offset + len(kept) + 1].astype(np.int64)
        begin = data.address - mapped.address if len(kept) else 0
        count = np.full(len(kept), number)
        found.append(np.stack([count, begin + bounds[:-1], np.diff(bounds)], axis=1))
    return np.concatenate(found), own
