"""A training made ready: data on the device, network, optimiser, number format."""

from __future__ import annotations

import math
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ffl_ray.config.methods import needs_held_out
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.data.class_balance import check_classes, epoch_size
from ffl_ray.data.dataset import Files, Images
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.data.facts import DataFacts
from ffl_ray.data.loader import TrainVal, load_final, load_train_val
from ffl_ray.data.shards import Shard, num_train_steps
from ffl_ray.data.streaming.pool import LoaderPool
from ffl_ray.data.streaming.stream import StreamedImages, served
from ffl_ray.distill.networks import build_trained
from ffl_ray.distill.recipe import ReadFromFile
from ffl_ray.errors import PlanError, SettingError
from ffl_ray.models.cost import MemberCost, member_costs
from ffl_ray.models.latency import member_latencies
from ffl_ray.models.network import FusionNetwork
from ffl_ray.training.clock import Clock
from ffl_ray.training.cuda_graphs import CudaGraphs
from ffl_ray.training.optimizer import new_optimizer, set_learning_rate
from ffl_ray.training.parted_step import in_parts
from ffl_ray.training.precision import Precision, format_of, set_format
from ffl_ray.training.recording import Captures, start_afresh
from ffl_ray.training.session import Session
from ffl_ray.training.turns import kept_for_this_training, new_stream, seat_here

# Not a setting: nobody has measured yet whether it pays.
BRANCH_STREAMS = "FFL_RAY_BRANCH_STREAMS"


class Training(NamedTuple):
    """Everything that an epoch needs.

    Attributes:
        wrapped: the network, in DistributedDataParallel where that averages the gradients.
        held_out: images that a method may measure on after an epoch: those of val, in a final
            training too.
        graphs: on a GPU.
        costs: by member, as `latencies_ms`, which is empty where nothing was measured.
    """

    config: ResolvedConfig
    network: FusionNetwork
    wrapped: nn.Module
    optimizer: torch.optim.Optimizer
    train: DeviceImages | StreamedImages
    val: DeviceImages | StreamedImages
    held_out: DeviceImages | StreamedImages
    pool: LoaderPool
    precision: Precision
    graphs: CudaGraphs | None
    clock: Clock
    shard: Shard
    costs: dict[str, MemberCost]
    latencies_ms: dict[str, float]
    facts: DataFacts

    @property
    def num_steps(self) -> int:
        """The number of steps of an epoch."""
        images = epoch_size(len(self.train.images), self.config)
        return num_train_steps(images, self.config.optim.batch_size, self.shard.world_size)


@contextmanager
def prepared(
    config: ResolvedConfig, session: Session, *, final: bool = False
) -> Iterator[Training]:
    """`prepare`, with the session's threads; the loader processes end with the block."""
    with threads(session.num_threads):
        training = prepare(config, session, final=final)
        try:
            yield training
        finally:
            if training.graphs:
                training.graphs.close()
            training.pool.close()


def prepare(config: ResolvedConfig, session: Session, *, final: bool = False) -> Training:
    """Data on the device, a freshly initialised network, its optimiser and its DDP wrapper.

    Args:
        final: train on train and val together; nothing is left to validate with.
    """
    device = choose_device(config, session)
    start_afresh(device)
    data, held_out = _held_out(config, _opened(config, session.world_size, final=final))
    pool = _pool(config, session)
    network = new_network(config, data)
    num_images = epoch_size(len(data.train), config)
    network.plan(_steps_of(config, num_images))
    costs = member_costs(network, data.image_shape)
    open_helpers(network, data)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = new_optimizer(config, network)
    kind = _format(config, device, data, session)
    graphs = _on_gpu(config, network, device, kind, num_images) if device.type == "cuda" else None
    set_learning_rate(optimizer, config.optim.lr, graphs.lr if graphs else None)
    val = served(data.val, data.info, device, pool)
    return Training(
        config=config,
        network=network,
        wrapped=_distributed(network, session, device, graphs, in_parts=in_parts(config.distill)),
        optimizer=optimizer,
        train=served(data.train, data.info, device, pool),
        val=val,
        held_out=val if held_out is data.val else served(held_out, data.info, device, pool),
        pool=pool,
        precision=Precision(device.type, kind, cached=not (graphs and graphs.records)),
        graphs=graphs,
        clock=Clock(config.optim, num_images, session.world_size, device),
        shard=Shard(session.rank, session.world_size),
        costs=costs,
        latencies_ms=_latencies(config, network, data, session),
        facts=data.facts,
    )


def _format(config: ResolvedConfig, device: torch.device, data: TrainVal, session: Session) -> str:
    pixels = math.prod(data.image_shape[1:])
    return format_of(config.compute.precision, device, pixels, session.world_size)


def _on_gpu(
    config: ResolvedConfig, network: FusionNetwork, device: torch.device, kind: str, images: int
) -> CudaGraphs:
    """What a training on a GPU keeps there; the GPU is set to its number format."""
    kept_for_this_training(partial(set_format, kind))
    if os.environ.get(BRANCH_STREAMS) == "1" and seat_here() is None:
        network.branch_streams = [new_stream(device) for _ in network.branches[1:]]
    captures = Captures(device, allowed=config.compute.cuda_graphs)
    return CudaGraphs(captures, steps_planned=_steps_of(config, images))


def _pool(config: ResolvedConfig, session: Session) -> LoaderPool:
    return LoaderPool(
        config.data.num_loader_processes or max(1, session.num_threads - 1),
        trivial=config.data.augment == "trivial" or bool(config.distill.view_policies),
    )


def _steps_of(config: ResolvedConfig, images: int) -> int:
    return config.optim.epochs * math.ceil(images / config.optim.batch_size)


def _opened(config: ResolvedConfig, world_size: int, *, final: bool) -> TrainVal:
    """The images to train on and to validate with.

    Raises:
        SettingError: a batch is too small for the workers.
        DataError: there are no such classes as `data.images_per_class` asks for.
        PlanError: the validation split is.
    """
    if config.optim.batch_size < 2 * world_size:
        raise SettingError(
            f"optim.batch_size must give each of the {world_size} workers at least 2 "
            f"images, not {config.optim.batch_size}"
        )
    data = load_final(config.data) if final else load_train_val(config.data)
    check_classes(config, data.train.labels, world_size)
    if len(data.val) < world_size and not final:
        raise PlanError(
            f"the validation split must hold an image for each of the {world_size} "
            f"workers, not {len(data.val)}"
        )
    return data


def _held_out(config: ResolvedConfig, data: TrainVal) -> tuple[TrainVal, Images | Files]:
    """The data, and what a method may measure on: in a final training, which validates nothing,
    the images that a search validates with, where its method needs them, or it is held against one
    that does; they are not trained on.
    """
    if len(data.val) or not (needs_held_out(config.distill) or config.data.hold_out):
        return data, data.val
    parts = load_train_val(config.data)
    return data._replace(train=parts.train), parts.val


def new_network(config: ResolvedConfig, data: TrainVal) -> FusionNetwork:
    """The config's network for this data, with the initial weights of its seed."""
    return build_trained(config, image_shape=data.image_shape, num_classes=len(data.info.classes))


def open_helpers(network: FusionNetwork, data: TrainVal) -> None:
    """Have the helpers that are read from files be read, for images of this data.

    Raises:
        SettingError: one can't be.
    """
    for helper in network.helpers.values():
        if isinstance(helper, ReadFromFile):
            helper.open(data.info, data.image_shape)


def choose_device(config: Config, session: Session) -> torch.device:
    """The session's device, a GPU by its number, unless the config insists on another.

    Raises:
        PlanError: the config insists on a GPU and this process has none, or can't be trained on it.
    """
    if config.compute.device == "cpu":
        return torch.device("cpu")
    if config.compute.device == "mps":
        return _apples_gpu(config, session)
    given = session.device
    if given is not None and given.type == "cuda" and given.index is not None:
        return given
    if torch.cuda.is_available() and (given is None or given.type == "cuda"):
        return torch.device("cuda", torch.cuda.current_device())
    if config.compute.device == "cuda":
        raise PlanError("compute.device is cuda, and this process was given no GPU")
    return torch.device("cpu")


def _apples_gpu(config: Config, session: Session) -> torch.device:
    if not torch.backends.mps.is_available():
        raise PlanError(
            "compute.device is mps, and there is no GPU of Apple's: use compute.device=auto"
        )
    if session.world_size > 1:
        raise PlanError(
            f"compute.device mps must have one worker, not {session.world_size}: there is one GPU"
        )
    distill = config.distill
    if distill.method == "kdcl" and str(distill.kdcl_teacher).startswith("general"):
        raise SettingError(
            f"distill.kdcl_teacher must be another than {distill.kdcl_teacher} on compute.device "
            f"mps: it is solved in float64, which Apple's GPUs have not"
        )
    return torch.device("mps")


def _latencies(
    config: ResolvedConfig, network: FusionNetwork, data: TrainVal, session: Session
) -> dict[str, float]:
    """By member, as rank 0 measures it; nothing when nobody asked, or another rank does it."""
    if not config.compute.measure_latency or session.rank:
        return {}
    return member_latencies(network, data.image_shape)


def _distributed(
    network: FusionNetwork,
    session: Session,
    device: torch.device,
    graphs: CudaGraphs | None,
    *,
    in_parts: bool,
) -> nn.Module:
    """The network, in DistributedDataParallel where several workers take one step at a time.

    Recorded steps, and those that are of several phases or train a part of the network alone,
    average their gradients themselves: DistributedDataParallel waits for all of them.
    """
    if session.world_size == 1:
        return network
    if in_parts or (graphs and graphs.records):
        for tensor in network.state_dict().values():
            dist.broadcast(tensor, 0)
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
