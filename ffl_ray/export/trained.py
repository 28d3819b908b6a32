"""A trained network and the data it was validated on, from a row of the trials table."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from ffl_ray.config.methods import resolved
from ffl_ray.config.overrides import flatten, shown, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.data.loader import TrainVal, load_final, load_train_val
from ffl_ray.errors import DataError, StudyError
from ffl_ray.export.member import empty_network
from ffl_ray.models.network import FusionNetwork
from ffl_ray.results.description import DESCRIPTION, check_same_data, read_description
from ffl_ray.results.schema import row_config
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.checkpoint import load_checkpoint
from ffl_ray.training.progress import Progress
from ffl_ray.training.resume import check_data

Row = Mapping[str, Any]


class Trained(NamedTuple):
    """A trial's network after its last epoch; in a study of the version before after its best.

    Attributes:
        config: it was trained with; data.dir may be another, where the data lie here.
        network: in evaluation mode, on the CPU.
        data: train and val; of a final run both are train, and val is empty.
        epoch: that epoch, from 1.
    """

    config: ResolvedConfig
    network: FusionNetwork
    data: TrainVal
    epoch: int


def checkpoint_file(trial_id: str, which: str) -> str:
    """The file of a trial's checkpoint in its study, latest or best."""
    return f"checkpoints/{trial_id}/{which}.pt"


def kept_checkpoints(storage: Storage) -> dict[str, str]:
    """Of each trial that has one its latest checkpoint, or the best where a version kept that."""
    return {
        name: which
        for name in storage.names("checkpoints")
        for which in ("best", "latest")
        if storage.exists(checkpoint_file(name, which))
    }


def retrain_command(config: Config, name: str) -> str:
    """The command that trains this config again."""
    words = ["python", "-m", "ffl_ray.train", "--name", name]
    for key, value in changed_settings(config).items():
        words += ["--set", f"{key}={shown(value)}"]
    return shlex.join(words)


def changed_settings(config: Config) -> dict[str, Any]:
    """The settings that are not the defaults."""
    defaults = flatten(Config())
    return {name: value for name, value in flatten(config).items() if value != defaults[name]}


def load_trained(
    storage: Storage,
    trial: Row,
    epoch: int,
    data_dir: str | None = None,
    *,
    final: bool = False,
    which: str = "latest",
) -> Trained:
    """A trial's network with the weights of a checkpoint.

    Args:
        trial: row of the trials table.
        epoch: of that checkpoint, by the members table.
        data_dir: where the data lie; none: where the training had them.
        final: it is a final run.
        which: checkpoint, latest or best.

    Raises:
        StudyError: the checkpoint is damaged, or not of that epoch.
        DataError: the data can't be opened, or are split differently here.
    """
    config = resolved(row_config(trial))
    if data_dir is not None:
        config = with_overrides(config, {"data.dir": data_dir})
    data = (load_final if final else load_train_val)(config.data)
    if storage.exists(DESCRIPTION):
        before, place = read_description(storage), storage.location
        check_same_data(place, before, data.facts, kept="is exported", same_images=False)
    if data.split_hash != trial["split_hash"]:
        raise DataError(
            f"the data must be split as the trial's were, {trial['split_hash']}, not "
            f"{data.split_hash}: give the same images with --data-dir"
        )
    network = empty_network(config, data.info, data.image_shape)
    progress = _load(network, storage, checkpoint_file(trial["trial_id"], which), epoch)
    check_data(progress, data.facts)
    return Trained(config, network.eval(), data, epoch)


def _load(network: FusionNetwork, storage: Storage, file: str, epoch: int) -> Progress:
    """The progress of a checkpoint of this epoch, whose weights fill a network."""
    place = storage.child(file).location
    content = storage.read(file)
    if content is None:
        raise StudyError(f"{place} is not there")
    try:
        progress = load_checkpoint(content, network)
    except StudyError as error:
        raise StudyError(f"{place}: {error}") from error
    if progress.epochs_done != epoch:
        raise StudyError(
            f"{place} must be of epoch {epoch}, as the members table says, not of "
            f"{progress.epochs_done}: export again when no command writes the study"
        )
    return progress
