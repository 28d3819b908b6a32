"""One process of one training. It knows neither Ray Train nor Tune: a session tells it its place.

The same function trains in a plain process, inside a Tune actor and in a Ray Train worker.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ffl_ray.checkpoint import Progress, dump_checkpoint, latest_checkpoint, load_checkpoint
from ffl_ray.config import Config
from ffl_ray.data.loader import (
    Batch,
    DeviceImages,
    TrainVal,
    augmentation_of,
    load_final,
    load_train_val,
)
from ffl_ray.data.pool import LoaderPool
from ffl_ray.data.shards import Shard
from ffl_ray.data.stream import StreamedImages, served
from ffl_ray.distill.table import loss_terms_of
from ffl_ray.engine import (
    LossSums,
    Precision,
    Step,
    TrainedEpoch,
    average_running_statistics,
    evaluate,
    train_epoch,
)
from ffl_ray.errors import PlanError, SettingError, TrainingDivergedError
from ffl_ray.gpu import RecordedSteps, can_be_recorded, prepared_ahead
from ffl_ray.methods import num_views, ramp_up_epochs_of
from ffl_ray.metrics import MemberMetrics, finish
from ffl_ray.mid_epoch import MidEpoch, restore_part
from ffl_ray.models.cost import MemberCost, member_costs
from ffl_ray.models.latency import member_latencies
from ffl_ray.models.network import FusionNetwork, build_network
from ffl_ray.models.table import check_model
from ffl_ray.objectives import VALUE, parse_objective
from ffl_ray.optimizer import learning_rate, new_optimizer
from ffl_ray.overrides import flatten
from ffl_ray.precision import computes_in_bfloat16
from ffl_ray.schedules import ramp_up

Row = dict[str, Any]
EVAL_BATCH = 500
# A training may go on with other ones: they change nothing of what is learned.
FREE_SETTINGS = {"data.num_loader_processes", "compute.checkpoint_interval_s"}


class Report(NamedTuple):
    """A finished epoch.

    Attributes:
        row: of the epochs table.
        members: rows of the members table, after this epoch.
        best: the same after the best epoch so far.
    """

    row: Row
    members: list[Row]
    best: list[Row]

    def dump(self) -> str:
        """The report as JSON."""
        return json.dumps(self._asdict(), default=datetime.isoformat)

    @classmethod
    def load(cls, text: str) -> Report:
        """The report that was dumped."""
        report = cls(**json.loads(text))
        report.row["time"] = datetime.fromisoformat(report.row["time"])
        return report


class Session(Protocol):
    """A worker's place in the world, and its way to storage and to whoever watches.

    Attributes:
        rank: this process among the training's, from 0.
        world_size: how many there are; with more than one a process group is initialised.
        num_threads: threads that torch may use; more than the CPUs given costs 20 to 100 times.
        device: the device given to this process, or none to choose by the config.
    """

    rank: int
    world_size: int
    num_threads: int
    device: torch.device | None

    def read(self, name: str) -> bytes | None:
        """A stored file of this training, or None when there is none yet."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Store a file atomically: a reader sees the old one or the new one."""
        ...

    def report(self, report: Report) -> None:
        """Hand over a finished epoch. Every rank calls it, equally often; rank 0's counts."""
        ...


class Training(NamedTuple):
    """Everything that an epoch needs."""

    config: Config
    network: FusionNetwork
    wrapped: nn.Module
    optimizer: torch.optim.Optimizer
    train: DeviceImages | StreamedImages
    val: DeviceImages | StreamedImages
    pool: LoaderPool
    precision: Precision
    recorded: RecordedSteps | None
    shard: Shard
    costs: dict[str, MemberCost]
    latencies_ms: dict[str, float]
    split_hash: str


def run_worker(config: Config, session: Session) -> None:
    """Train from the latest checkpoint, or from scratch, to the config's last epoch.

    Each finished epoch is stored (`latest.pt`, and `best.pt` when the objective is the best so
    far) and then reported; an epoch that takes long is stored in between. A run that is resumed
    equals, bit for bit on a CPU, the run that was never stopped; it reports its latest stored
    epoch again, since nobody knows whether the first report arrived.

    Raises:
        TrainingDivergedError: a loss is no finite number any more.
        DataError, SettingError: the data or the config can't be used.
    """
    check_model(config)
    with prepared(config, session) as training:
        progress = resume(training, session)
        if progress.report:
            session.report(Report.load(progress.report))
        while progress.epochs_done < config.optim.epochs:
            progress = run_epoch(training, progress, session.write)
            if session.rank == 0:
                state = dump_checkpoint(training.network, training.optimizer, progress)
                if progress.best_epoch == progress.epochs_done:
                    session.write("best.pt", state)
                session.write("latest.pt", state)
            session.report(Report.load(progress.report))


@contextmanager
def prepared(config: Config, session: Session, *, final: bool = False) -> Iterator[Training]:
    """`prepare`, with the session's threads; the loader processes end with the block."""
    with threads(session.num_threads):
        training = prepare(config, session, final=final)
        try:
            yield training
        finally:
            training.pool.close()


def prepare(config: Config, session: Session, *, final: bool = False) -> Training:
    """Data on the device, a freshly initialised network, its optimiser and its DDP wrapper.

    Args:
        final: train on train and val together; nothing is left to validate with.
    """
    device = choose_device(config, session)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        torch.backends.cudnn.benchmark = True
    if config.optim.batch_size < 2 * session.world_size:
        raise SettingError(
            f"optim.batch_size must give each of the {session.world_size} workers at least 2 "
            f"images, not {config.optim.batch_size}"
        )
    data = load_final(config.data) if final else load_train_val(config.data)
    if len(data.val) < session.world_size and not final:
        raise PlanError(
            f"the validation split must hold an image for each of the {session.world_size} "
            f"workers, not {len(data.val)}"
        )
    pool = LoaderPool(
        config.data.num_loader_processes or max(1, session.num_threads - 1),
        trivial=config.data.augment == "trivial",
    )
    network = new_network(config, data)
    costs = member_costs(network, data.image_shape)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = new_optimizer(config, network)
    in_bfloat16 = computes_in_bfloat16(
        config.compute.precision, device, costs["ensemble"].macs, session.world_size
    )
    records = config.compute.cuda_graphs and can_be_recorded(
        device, network, optimizer, session.world_size
    )
    return Training(
        config=config,
        network=network,
        wrapped=_distributed(network, session, device),
        optimizer=optimizer,
        train=served(data.train, data.info, device, pool),
        val=served(data.val, data.info, device, pool),
        pool=pool,
        precision=Precision(device.type, in_bfloat16, cached=not records),
        recorded=RecordedSteps() if records else None,
        shard=Shard(session.rank, session.world_size),
        costs=costs,
        latencies_ms=_latencies(config, network, data, session),
        split_hash=data.split_hash,
    )


def new_network(config: Config, data: TrainVal) -> FusionNetwork:
    """The config's network for this data, with the initial weights of its seed."""
    return build_network(
        config.model,
        config.fusion,
        config.distill,
        image_shape=data.image_shape,
        num_classes=len(data.info.classes),
        seed=config.seed,
    )


def choose_device(config: Config, session: Session) -> torch.device:
    """The session's device, unless the config insists on another.

    Raises:
        PlanError: the config insists on a GPU and this process has none.
    """
    if config.compute.device == "cpu":
        return torch.device("cpu")
    if session.device is not None and session.device.type == "cuda":
        return session.device
    if torch.cuda.is_available() and session.device is None:
        return torch.device("cuda", torch.cuda.current_device())
    if config.compute.device == "cuda":
        raise PlanError("compute.device is cuda, and this process was given no GPU")
    return torch.device("cpu")


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
        **_loss_columns(trained.losses),
        **_metric_columns(metrics, training.network.num_branches),
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
    report = Report(row, members, best)
    return progress._replace(report=report.dump())


def epoch_batches(training: Training, epoch: int, first_step: int = 0) -> Iterator[Batch]:
    """The worker's share of an epoch's training batches; epochs and steps count from 0."""
    config = training.config
    return training.train.train_batches(
        batch_size=config.optim.batch_size,
        seed=config.seed,
        epoch=epoch,
        first_step=first_step,
        shard=training.shard,
        augmentation=augmentation_of(config.data),
        num_views=num_views(config),
    )


def train_on(
    training: Training,
    batches: Iterator[Batch],
    distill_weight: float,
    *,
    sums: LossSums | None = None,
    between: Callable[[], None] = lambda: None,
) -> TrainedEpoch:
    """Take a step on every batch, in the way that suits the device; the rest as `train_epoch`."""
    step = step_of(training, distill_weight)
    run = training.recorded.of_epoch(step) if training.recorded else None
    ahead = prepared_ahead(batches, training.train.device)
    return train_epoch(step, ahead, run, sums=sums, between=between)


def step_of(training: Training, distill_weight: float) -> Step:
    """What takes a training's steps at this distill weight."""
    return Step(
        training.wrapped,
        training.optimizer,
        loss_terms_of(training.config.distill),
        distill_weight,
        training.precision,
        training.shard.world_size,
        training.network.after_step,
    )


def measured(training: Training, images: DeviceImages | StreamedImages) -> dict[str, MemberMetrics]:
    """The metrics of every member on some images, over all workers; nothing on no images."""
    if not len(images.images):
        return {}
    sums = evaluate(
        training.network,
        images.eval_batches(batch_size=EVAL_BATCH, shard=training.shard),
        precision=training.precision,
        world_size=training.shard.world_size,
    )
    return dict(zip(training.network.member_names, finish(sums), strict=True))


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


def _loss_columns(losses: dict[str, float]) -> Row:
    """`loss.NAME` columns; the terms `NAME.0`, `NAME.1` of the branches become one list."""
    columns: Row = {}
    for name, value in losses.items():
        column, _, index = name.partition(".")
        if index:
            columns.setdefault(f"loss.{column}", []).append(value)
        else:
            columns[f"loss.{column}"] = value
    return columns


def _metric_columns(metrics: dict[str, MemberMetrics], num_branches: int) -> Row:
    if not metrics:
        return {}
    branches = [metrics[f"branch{index}"] for index in range(num_branches)]
    fused = metrics.get("fused")
    return {
        "val.fused.accuracy": fused.accuracy if fused else None,
        "val.ensemble.accuracy": metrics["ensemble"].accuracy,
        "val.best_branch.accuracy": max(branch.accuracy for branch in branches),
        "val.mean_branch.accuracy": sum(branch.accuracy for branch in branches) / num_branches,
        "val.branches.accuracy": [branch.accuracy for branch in branches],
        "val.fused.nll": fused.nll if fused else None,
        "val.ensemble.nll": metrics["ensemble"].nll,
        "val.branches.nll": [branch.nll for branch in branches],
    }


def member_rows(
    training: Training,
    metrics: dict[str, MemberMetrics],
    epoch: int,
    before: Report | None,
    *,
    images: int,
    split: str = "val",
) -> list[Row]:
    """Rows of the members table; a latency that was measured once stays what it was.

    Args:
        images: how many the metrics are of.
        split: which ones.
    """
    mix = training.config.model.mix
    latencies: dict[str, float | None] = {**training.latencies_ms}
    if before is not None:
        latencies = {row["member"]: row["latency_ms"] for row in before.members}
    return [
        {
            "member": name,
            "backbone": mix[int(name.removeprefix("branch"))] if name[-1].isdigit() else None,
            "split": split,
            "split_hash": training.split_hash,
            "epoch": epoch,
            "images": images,
            **metric._asdict(),
            **training.costs[name]._asdict(),
            "latency_ms": latencies.get(name),
        }
        for name, metric in metrics.items()
    ]


def _latencies(
    config: Config, network: FusionNetwork, data: TrainVal, session: Session
) -> dict[str, float]:
    """By member, as rank 0 measures it; nothing when nobody asked, or another rank does it."""
    if not config.compute.measure_latency or session.rank:
        return {}
    return member_latencies(network, data.image_shape)


def _distributed(network: FusionNetwork, session: Session, device: torch.device) -> nn.Module:
    if session.world_size == 1:
        return network
    ids = [device] if device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=ids, broadcast_buffers=False)


def peak_memory_bytes(device: torch.device) -> int:
    """The most that this process has held: on a GPU of tensors there, else of memory at all."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Have torch use this many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
