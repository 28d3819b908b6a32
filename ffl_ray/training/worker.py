"""One process of one training. It knows neither Ray Train nor Tune: a session tells it its place.

The same function trains in a plain process, inside a Tune actor and in a Ray Train worker.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import torch

from ffl_ray.config.objectives import VALUE, parse_objective
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.distill.terms import SCHEDULES
from ffl_ray.errors import TrainingDivergedError
from ffl_ray.models.registry import check_model
from ffl_ray.training.checkpoint import dump_checkpoint
from ffl_ray.training.draws import SeededStep
from ffl_ray.training.engine import TrainingStep, average_running_statistics
from ffl_ray.training.epoch_checkpoint import EpochCheckpoints, restored_sums
from ffl_ray.training.hooks import after_epoch, hooked
from ffl_ray.training.optimizer import learning_rate, set_learning_rate
from ffl_ray.training.progress import Progress
from ffl_ray.training.resume import resume
from ffl_ray.training.rows import (
    class_rows,
    loss_columns,
    member_rows,
    metric_columns,
    prediction_rows,
)
from ffl_ray.training.schedules import schedule_weights
from ffl_ray.training.session import Report, Row, Session
from ffl_ray.training.setup import Training, peak_memory_bytes, prepared
from ffl_ray.training.steps import Examined, epoch_batches, examined, measured, train_on
from ffl_ray.training.turns import seat_here

# Several workers do not wait for their rows to be stored. When the search is killed they may live
# on for ten seconds: their checkpoint says what they reported meanwhile.
KEPT_REPORTS = 32

Test = Callable[[Training, Progress], Progress]
Write = Callable[[str, bytes], None]


def run_worker(config: ResolvedConfig, session: Session) -> None:
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
    run_epochs(config, session)


def run_epochs(config: ResolvedConfig, session: Session, test: Test | None = None) -> None:
    """Train the epochs that are left; each is stored, and then reported.

    Args:
        test: adds to the last epoch's report, once that epoch is stored, the rows of the test
            split; it is reported only with them, so that a run without them never looks complete.
            With it, train and val together are trained on.
    """
    check_model(config)
    epochs = config.optim.epochs

    def lacks_test(progress: Progress) -> bool:
        done = progress.epochs_done == epochs
        return test is not None and done and not progress.reports[-1].members

    with prepared(config, session, final=test is not None) as training:
        progress = resume(training, session)
        for report in progress.reports[: -1 if lacks_test(progress) else None]:
            session.report(report)
        while progress.epochs_done < epochs:
            progress = run_epoch(training, progress, session.write)
            _store(training, progress, session)
            if not lacks_test(progress):
                session.report(progress.reports[-1])
        if test is not None and lacks_test(progress):
            progress = test(training, progress)
            _store(training, progress, session)
            session.report(progress.reports[-1])


def _store(training: Training, progress: Progress, session: Session) -> None:
    """Write the checkpoints of a finished epoch, from rank 0."""
    if session.rank != 0:
        return
    state = dump_checkpoint(training.network, training.optimizer, progress)
    if progress.latest_is_best:
        session.write("best.pt", state)
    session.write("latest.pt", state)


def run_epoch(training: Training, progress: Progress, write: Write) -> Progress:
    """The progress after one epoch more: trained, or the rest of it, and validated.

    Args:
        write: stores a checkpoint within the epoch.

    Raises:
        TrainingDivergedError: a loss is no finite number any more.
    """
    config, workers = training.config, training.shard.world_size
    started = time.perf_counter() - progress.unfinished.seconds
    trained = _train(training, progress, started, write)
    average_running_statistics(training.network, workers)
    after_epoch(training, progress.epochs_done)
    found = _validate(training, progress.epochs_done + 1)
    epoch_s = time.perf_counter() - started
    before, epoch = progress.report, progress.epochs_done + 1
    members = member_rows(training, found.metrics, epoch, before, images=len(training.val.images))
    objective = parse_objective(config.objective)
    value = objective.value(members) if members else None
    score = -math.inf if value is None else objective.score(value)
    progress = progress.after_epoch(score, epoch_s * workers)
    row = {
        "epoch": epoch,
        "time": datetime.now(UTC),
        **trained,
        **metric_columns(found.metrics, training.network.num_branches),
        VALUE: value,
        "best_epoch": progress.best_epoch or None,
        "epoch_s": epoch_s,
        "accelerator_s": progress.accelerator_s,
        "peak_memory_bytes": None if seat_here() else peak_memory_bytes(training.train.device),
    }
    best = members if before is None or progress.latest_is_best else before.best
    predictions = prediction_rows(found.predictions, len(training.val.images))
    report = Report(row, members, best, predictions, class_rows(training, found.confusions))
    return progress.with_report(report, KEPT_REPORTS if workers > 1 else 0)


def _train(training: Training, progress: Progress, started: float, write: Write) -> Row:
    """The columns of an epoch's training, or of the rest of it.

    Args:
        started: `time.perf_counter()` when the epoch began, less what it had taken before.
    """
    config, epoch = training.config, progress.epochs_done
    lr = learning_rate(config, epoch)
    weights = schedule_weights(
        epoch, epochs=config.optim.epochs, ramp_up_share=config.distill.ramp_up
    )
    graphs = training.graphs
    set_learning_rate(training.optimizer, lr, graphs.lr if graphs else None)
    replays_before = graphs.replays if graphs else 0
    cpu_before = time.process_time()
    sums = restored_sums(training, progress.unfinished)
    checkpoints = EpochCheckpoints(training, progress, sums, started=started, write=write)
    begun = training, epoch, progress.unfinished.steps_done
    batches, around = epoch_batches(*begun), partial(_seeded, begun)
    training.clock.set(epoch, progress.unfinished.steps_done)
    by_schedule = torch.tensor([weights[name] for name in SCHEDULES], dtype=torch.float64)
    trained = train_on(
        training, batches, by_schedule, sums=sums, between=checkpoints.after_step, around=around
    )
    _check_finite("training loss", trained.losses["total"], epoch + 1, config)
    train_s = time.perf_counter() - started
    is_whole = not (seat_here() or progress.unfinished.steps_done)
    return {
        "lr": lr,
        "distill_weight": weights["ramp"],
        **loss_columns(trained.losses),
        "train_s": train_s,
        "train_cpu_s": time.process_time() - cpu_before if is_whole else None,
        "images_per_s": trained.images / train_s,
        "precision": training.precision.name,
        "recorded": graphs.replays > replays_before if graphs else None,
    }


def _seeded(begun: tuple[Training, int, int], step: TrainingStep) -> TrainingStep:
    return SeededStep(*begun, hooked(*begun, step))


def _validate(training: Training, epoch: int) -> Examined:
    """The members on the validation split, epochs counted from 1; in the last one each image."""
    config, last = training.config, epoch == training.config.optim.epochs
    kept = config.compute.predictions or config.compute.per_class
    if kept and last and len(training.val.images):
        found = examined(training, training.val)
        if training.graphs is not None:  # the numbers of every epoch are the recorded step's
            found = found._replace(metrics=measured(training, training.val))
    else:
        found = Examined(measured(training, training.val), {}, {})
    if not config.compute.predictions:
        found = found._replace(predictions={})
    for name, metric in found.metrics.items():
        _check_finite(f"validation NLL of {name}", metric.nll, epoch, config)
    return found


def _check_finite(what: str, value: float, epoch: int, config: ResolvedConfig) -> None:
    if not math.isfinite(value):
        raise TrainingDivergedError(
            f"the {what} became {value} in epoch {epoch}; "
            f"a smaller optim.lr than {config.optim.lr} may help"
        )
