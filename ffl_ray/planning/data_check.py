"""Opening the data where the workers are, before any training starts."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.errors import DataError, FFLRayError


class DataFacts(NamedTuple):
    """What a study says of its data."""

    split_hash: str
    num_train: int
    num_val: int
    num_classes: int


def data_facts(config: Config, final: bool = False) -> DataFacts:
    """Open the train and val parts and say what they are.

    Args:
        final: both together are the train part, and there must be a test split; it stays closed.
    """
    from ffl_ray.data.loader import check_test, load_final, load_train_val

    if final:
        check_test(config.data)
    data = (load_final if final else load_train_val)(config.data)
    return DataFacts(data.split_hash, len(data.train), len(data.val), len(data.info.classes))


def check_data(config: Config, final: bool = False) -> DataFacts:
    """`data_facts` in a Ray worker, so that the driver need not load torch.

    Raises:
        FFLRayError: as opening the data raises it there.
    """
    import ray
    from ray.exceptions import RayTaskError

    @ray.remote
    def facts_of(settings: dict[str, object]) -> DataFacts:
        return data_facts(with_overrides(Config(), settings), final)

    try:
        facts: DataFacts = ray.get(facts_of.remote(flatten(config)))
    except RayTaskError as error:
        if isinstance(error.cause, FFLRayError):
            raise error.cause from None
        raise
    return facts


def absolute_data_dir(config: Config) -> dict[str, object]:
    """data.dir as an absolute path: workers may have another working folder.

    Raises:
        DataError: on this machine there is no such folder, and nothing will be downloaded.
    """
    if config.data.dir is None:
        return {}
    folder = Path(config.data.dir).expanduser().resolve()
    if not folder.is_dir() and not config.data.download:
        raise DataError(f"data.dir must be an existing folder, not {config.data.dir!r}")
    return {"data.dir": str(folder)}
