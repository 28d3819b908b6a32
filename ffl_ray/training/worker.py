"""One process of one training. It knows neither Ray Train nor Tune: a session tells it its place.

The same function trains in a plain process, inside a Tune actor and in a Ray Train worker.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime

import torch.distributed as dist

from ffl_ray.config.methods import ramp_up_epochs_of
from ffl_ray.config.objectives import VALUE, parse_objective
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config
from ffl_ray.errors import SettingError, TrainingDivergedError
from ffl_ray.models.registry import check_model
from ffl_ray.training.checkpoint import (
    Progress,
    dump_checkpoint,
    latest_checkpoint,
    load_checkpoint,
)
from ffl_ray.training.engine import average_running_statistics
from ffl_ray.training.epoch_checkpoint import MidEpoch, restore_part
from ffl_ray.training.optimizer import learning_rate
from ffl_ray.training.rows import loss_columns, member_rows, metric_columns
from ffl_ray.training.schedules import ramp_up
from ffl_ray.training.session import Report, Session
from ffl_ray.training.setup import (
    Training,
    epoch_batches,
    measured,
    peak_memory_bytes,
    prepared,
    train_on,
)

# Several workers do not wait for their rows to be stored. When the search is killed they may live
# on for ten seconds: their checkpoint says what they reported meanwhile.
KEPT_REPORTS = 32
# A training may go on with other ones: they change nothing of what is learned.
FREE_SETTINGS = {"data.num_loader_processes", "compute.checkpoint_interval_s"}


def run_worker(config: Config, session: Session) -> None:
    """Train from the latest checkpoint, or from scratch, to the config's last epoch.

    Each finished epoch is stored (`latest.pt`, and `best.pt` when the objective is the best so
    far) and then reported; an epoch that takes long is stored in between. A run that is resumed
    equals, bit for bit on a CPU, the run that was never stopped; it reports its latest stored
    epoch again, and of several workers those before it, since nobody knows whether the first
    reports arrived.

    Raises:
        TrainingDivergedError: a loss is no finite number any more.
        DataError, SettingError: the data or the config can't be used.
    """
    check_model(config)
    with prepared(config, session) as training:
        progress = resume(training, session)
        for report in reported(progress):
            session.report(Report.load(report))
        while progress.epochs_done < config.optim.epochs:
            progress = run_epoch(training, progress, session.write)
            if session.rank == 0:
                state = dump_checkpoint(training.network, training.optimizer, progress)
                if progress.best_epoch == progress.epochs_done:
                    session.write("best.pt", state)
                session.write("latest.pt", state)
            session.report(Report.load(progress.report))


def run_epoch(
    training: Training, progress: Progress, write: Callable[[str, bytes], None]
) -> Progress:
    """Train for an epoch, or the rest of it, and validate, where there is something to do it with.

    Args:
        write: stores a checkpoint within the epoch.

    Raises:
        TrainingDivergedError: a loss is no finite number any more.
    """
    config, epoch = training.config, progress.epochs_done
    lr, weight = learning_rate(config, epoch), ramp_up(epoch, ramp_up_epochs_of(config.distill))
    for group in training.optimizer.param_groups:
        group["lr"] = lr
    part, cpu_before = progress.part, time.process_time()
    started = time.perf_counter() - (part.seconds if part else 0.0)
    sums = restore_part(training.network, part, training.shard, training.train.device)
    middle = MidEpoch(
        training.network,
        training.optimizer,
        progress._replace(settings=settings_text(config)),
        sums,
        interval_s=config.compute.checkpoint_interval_s,
        started=started,
        shard=training.shard,
        device=training.train.device,
        write=write,
    )
    batches = epoch_batches(training, epoch, part.steps_done if part else 0)
    trained = train_on(training, batches, weight, sums=sums, between=middle.after_step)
    _check_finite("training loss", trained.losses["total"], epoch, config)
    train_s, train_cpu_s = time.perf_counter() - started, time.process_time() - cpu_before
    average_running_statistics(training.network, training.shard.world_size)
    metrics = measured(training, training.val)
    for name, metric in metrics.items():
        _check_finite(f"validation NLL of {name}", metric.nll, epoch, config)
    epoch_s = time.perf_counter() - started
    before = Report.load(progress.report) if progress.report else None
    members = member_rows(training, metrics, epoch + 1, before, images=len(training.val.images))
    objective = parse_objective(config.objective)
    value = objective.value(members) if members else None
    score = -math.inf if value is None else objective.score(value)
    progress = _advance(progress, score, epoch_s, training)
    row = {
        "epoch": progress.epochs_done,
        "time": datetime.now(UTC),
        "lr": lr,
        "distill_weight": weight,
        **loss_columns(trained.losses),
        **metric_columns(metrics, training.network.num_branches),
        VALUE: value,
        "best_epoch": progress.best_epoch or None,
        "train_s": train_s,
        "precision": "bfloat16" if training.precision.autocast else "float32",
        "train_cpu_s": train_cpu_s,
        "epoch_s": epoch_s,
        "images_per_s": trained.images / train_s,
        "accelerator_s": progress.accelerator_s,
        "peak_memory_bytes": peak_memory_bytes(training.train.device),
    }
    if before is None or progress.best_epoch == progress.epochs_done:
        best = members
    else:
        best = before.best
    kept = KEPT_REPORTS if training.shard.world_size > 1 else 0
    earlier = reported(progress)[-kept:] if kept else []
    report = Report(row, members, best)
    return progress._replace(report=report.dump(), earlier=json.dumps(earlier))


def _check_finite(what: str, value: float, epoch: int, config: Config) -> None:
    if not math.isfinite(value):
        raise TrainingDivergedError(
            f"the {what} became {value} in epoch {epoch + 1}; "
            f"a smaller optim.lr than {config.optim.lr} may help"
        )


def _advance(progress: Progress, score: float, epoch_s: float, training: Training) -> Progress:
    progress = progress._replace(
        epochs_done=progress.epochs_done + 1,
        accelerator_s=progress.accelerator_s + epoch_s * training.shard.world_size,
        settings=settings_text(training.config),
        part=None,
    )
    if score > progress.best_score:
        return progress._replace(best_epoch=progress.epochs_done, best_score=score)
    return progress


def reported(progress: Progress) -> list[str]:
    """The latest epochs' reports that a checkpoint holds, as JSON each, in order."""
    return [*json.loads(progress.earlier), progress.report] if progress.report else []


def settings_text(config: Config) -> str:
    """A config as sorted `name=value` lines: equal texts, equal trainings."""
    values = {n: value for n, value in flatten(config).items() if n not in FREE_SETTINGS}
    return "\n".join(f"{name}={value}" for name, value in sorted(values.items()))


def resume(training: Training, session: Session) -> Progress:
    """The state of the latest checkpoint, put into the training; that of the start without one.

    Raises:
        SettingError: the checkpoint is of a training with other settings.
    """
    stored = latest_checkpoint(session.read) if session.rank == 0 else None
    data = _from_rank_0(stored, training)
    if data is None:
        return Progress()
    progress = load_checkpoint(data, training.network, training.optimizer)
    changed = _changed(progress.settings, training.config)
    if changed:
        raise SettingError(
            f"a training goes on only with the settings it began with; these differ: {changed}"
        )
    return progress


def _changed(before: str, config: Config) -> list[str]:
    """Settings that differ from those of a checkpoint; one it did not know had its default."""
    stored = set(before.splitlines())
    known = {line.partition("=")[0] for line in stored}
    own = {}
    for line in settings_text(config).splitlines():
        own[line.partition("=")[0]] = line
    defaults = set(settings_text(Config()).splitlines())
    new = {line for name, line in own.items() if name not in known and line in defaults}
    return sorted(stored ^ (set(own.values()) - new))


def _from_rank_0(data: bytes | None, training: Training) -> bytes | None:
    """What rank 0 read, on every worker: a shared folder may show each an age of its own."""
    if training.shard.world_size == 1:
        return data
    box = [data]
    dist.broadcast_object_list(box, src=0, device=training.train.device)
    return box[0]
