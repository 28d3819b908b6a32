"""The folder of the data, as every worker finds it."""

from __future__ import annotations

from pathlib import Path

from ffl_ray.config.image_shapes import brought_kind
from ffl_ray.config.settings import Config
from ffl_ray.data.hub import is_local
from ffl_ray.errors import DataError
from ffl_ray.files import expanded


def absolute_data_dir(config: Config) -> dict[str, object]:
    """The setting data.dir as an absolute path: workers may have another working folder.

    Raises:
        DataError: on this machine there is no such folder, and nothing will be downloaded; or a
            data set's name asks for what there is not.
    """
    kind, name = brought_kind(config.data.name), config.data.name
    if config.data.dir is None:
        if name == "folder":
            raise DataError(
                "data.dir must name a folder when data.name is folder, not none (--data-dir PHOTOS)"
            )
        begins_here = kind == "wds" or (kind == "hf" and is_local(name, None) is not None)
        return {"data.dir": str(Path.cwd())} if begins_here else {}
    folder = expanded(config.data.dir).resolve()
    if not folder.is_dir() and not config.data.download:
        raise DataError(f"data.dir must be an existing folder, not {config.data.dir!r}")
    return {"data.dir": str(folder)}
