"""The folder of the data, as every worker finds it."""

from __future__ import annotations

from ffl_ray.config.settings import Config
from ffl_ray.errors import DataError
from ffl_ray.files import expanded


def absolute_data_dir(config: Config) -> dict[str, object]:
    """The setting data.dir as an absolute path: workers may have another working folder.

    Raises:
        DataError: on this machine there is no such folder, and nothing will be downloaded.
    """
    if config.data.dir is None:
        return {}
    folder = expanded(config.data.dir).resolve()
    if not folder.is_dir() and not config.data.download:
        raise DataError(f"data.dir must be an existing folder, not {config.data.dir!r}")
    return {"data.dir": str(folder)}
