"""The folder of the data, as every worker finds it."""

from __future__ import annotations

from pathlib import Path

from ffl_ray.config.settings import Config
from ffl_ray.errors import DataError


def absolute_data_dir(config: Config) -> dict[str, object]:
    """The setting data.dir as an absolute path: workers may have another working folder.

    Raises:
        DataError: on this machine there is no such folder, and nothing will be downloaded.
    """
    if config.data.dir is None:
        return {}
    folder = Path(config.data.dir).expanduser().resolve()
    if not folder.is_dir() and not config.data.download:
        raise DataError(f"data.dir must be an existing folder, not {config.data.dir!r}")
    return {"data.dir": str(folder)}
