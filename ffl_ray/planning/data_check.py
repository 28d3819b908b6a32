"""The data opened before any training starts."""

from __future__ import annotations

from collections.abc import Mapping

from ffl_ray.config.image_shapes import brought_kind
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, DataConfig
from ffl_ray.data.dataset import BROUGHT, dataset_module
from ffl_ray.data.facts import DataFacts
from ffl_ray.data.folder import Look, look, notes
from ffl_ray.data.loader import load_final, load_train_val, read_all, read_test
from ffl_ray.errors import DataError, SettingError


def data_facts(config: Config, final: bool = False) -> DataFacts:
    """The facts of a config's data, from reading its train and val parts once in this process.

    Args:
        final: both together are the train part, and there must be a test split whose files can
            be read.
    """
    data = (load_final if final else load_train_val)(config.data)
    facts = read_all(config.data, data)
    facts = read_test(config.data, facts) if final else facts
    return facts._replace(notes=_notes(config.data))


def _notes(settings: DataConfig) -> tuple[str, ...]:
    """What is to be said of a folder; of other files, why there is no test split to confirm on.

    A test split of the hub may be without labels, and a search needs none.

    Raises:
        DataError: a folder's test split can't be used.
    """
    if settings.name == "folder":
        return notes(settings)
    if brought_kind(settings.name) in BROUGHT:
        try:
            dataset_module(settings).find_test(settings)
        except DataError as error:
            return (f"no test split, so that confirm will refuse: {error}",)
    return ()


def folder_look(settings: Mapping[str, object]) -> Look:
    """What some of the images of a folder are, and how fast they are decoded in this process.

    Args:
        settings: of a config, flat.
    """
    config = with_overrides(Config(), settings)
    return look(config.data)


def check_shares(
    config: Config, num_workers: int, facts: DataFacts, *, final: bool = False
) -> None:
    """Check that every worker gets images in every step.

    Args:
        final: there is no val part.

    Raises:
        SettingError: a batch, or a part of the data, is too small for the workers.
    """
    pair = 2 * num_workers
    shares = [
        ("optim.batch_size", config.optim.batch_size, pair),
        ("data.fraction: the images to train on", facts.num_train, pair),
    ]
    if not final:
        what = "data.val_fraction: the images to validate on"
        shares.append((what, facts.num_val, num_workers))
    for what, count, least in shares:
        if count < least:
            raise SettingError(
                f"{what} must be at least {least} for {num_workers} workers, not {count}"
            )
