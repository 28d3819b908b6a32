"""The data opened before any training starts."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ffl_ray.config.settings import Config
from ffl_ray.data.loader import check_test, load_final, load_train_val
from ffl_ray.errors import DataError


class DataFacts(NamedTuple):
    """What a study says of its data."""

    split_hash: str
    num_train: int
    num_val: int
    num_classes: int


def data_facts(config: Config, final: bool = False) -> DataFacts:
    """The facts of a config's data, from opening its train and val parts in this process.

    Args:
        final: both together are the train part, and there must be a test split; it stays closed.
    """
    if final:
        check_test(config.data)
    data = (load_final if final else load_train_val)(config.data)
    return DataFacts(data.split_hash, len(data.train), len(data.val), len(data.info.classes))


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
