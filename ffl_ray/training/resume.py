"""A training's state from its latest checkpoint, when its settings are still the same."""

from __future__ import annotations

import json

import torch.distributed as dist

from ffl_ray.config.older import to_go_on_with
from ffl_ray.config.overrides import changeable, flatten
from ffl_ray.config.settings import Config
from ffl_ray.data.facts import DataFacts, differences
from ffl_ray.errors import DataError, SettingError, StudyError
from ffl_ray.training.checkpoint import latest_checkpoint, load_checkpoint
from ffl_ray.training.progress import Progress
from ffl_ray.training.session import Session
from ffl_ray.training.setup import Training

# A training may go on with other ones: they change nothing of what is learned.
FREE_SETTINGS = changeable(Config)


def resume(training: Training, session: Session) -> Progress:
    """The progress of the latest checkpoint, its state put into the training; or of the start.

    Raises:
        SettingError: the checkpoint is of a training with other settings.
        StudyError: it is of no such training.
        DataError: it is of a training on other data.
    """
    settings = settings_text(training.config)
    stored = latest_checkpoint(session.read) if session.rank == 0 else None
    data = _from_rank_0(stored, training)
    facts = json.dumps(training.facts._asdict())
    if data is None:
        return Progress(settings=settings, data=facts)
    progress = load_checkpoint(data, training.network, training.optimizer)
    changed = _changed(progress.settings, settings)
    if changed:
        raise SettingError(
            f"a training goes on only with the settings it began with; these differ: {changed}"
        )
    done, epochs = progress.epochs_done, training.config.optim.epochs
    told = progress.reports[-1].row["epoch"] if progress.reports else 0
    if done > epochs or told != done:
        raise StudyError(
            f"a checkpoint can't be read: it is of epoch {done} of {epochs}, and reports {told}"
        )
    check_data(progress, training.facts)
    return progress._replace(settings=settings, data=facts)


def check_data(progress: Progress, facts: DataFacts) -> None:
    """Check that data are those of a checkpoint, as far as it says.

    Raises:
        DataError: they differ.
        StudyError: what it says makes no sense.
    """
    try:
        differing = differences(json.loads(progress.data or "{}"), facts)
    except (ValueError, RecursionError) as error:
        raise StudyError(f"a checkpoint can't be read: {error}") from error
    if differing:
        raise DataError(
            f"the data must be those of the training, and {differing}: give the same images with "
            f"--data-dir"
        )


def settings_text(config: Config) -> str:
    """A config as sorted `name=value` lines: equal texts, equal trainings."""
    values = {n: value for n, value in flatten(config).items() if n not in FREE_SETTINGS}
    return "\n".join(f"{name}={value}" for name, value in sorted(values.items()))


def _changed(before: str, now: str) -> list[str]:
    """Settings that differ from those of a checkpoint; one it did not know had its default."""
    kept = to_go_on_with(dict(line.partition("=")[::2] for line in before.splitlines()))
    stored = {f"{name}={value}" for name, value in kept.items() if name not in FREE_SETTINGS}
    known = {line.partition("=")[0] for line in stored}
    defaults = set(settings_text(Config()).splitlines())
    own = set(now.splitlines())
    new = {line for line in own & defaults if line.partition("=")[0] not in known}
    return sorted(stored ^ (own - new))


def _from_rank_0(data: bytes | None, training: Training) -> bytes | None:
    """What rank 0 read, on every worker: a shared folder may show each an age of its own."""
    if training.shard.world_size == 1:
        return data
    box = [data]
    dist.broadcast_object_list(box, src=0, device=training.train.device)
    return box[0]
