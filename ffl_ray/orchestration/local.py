"""A job trained in this process, which one worker has to itself: a plain one, or a Tune actor."""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable

import torch

from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.data.facts import DataFacts
from ffl_ray.orchestration.failures import is_out_of_memory
from ffl_ray.orchestration.job import Job
from ffl_ray.planning.data_check import check_shares, data_facts
from ffl_ray.planning.layout import Machines, Plan, available_cpus, make_plan
from ffl_ray.planning.limits import CONTEXT_BYTES
from ffl_ray.planning.spare_cpus import spare_cpus
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.final import run_final
from ffl_ray.training.recording import empty_cache
from ffl_ray.training.session import Report, Session
from ffl_ray.training.turns import waiting
from ffl_ray.training.worker import run_worker

LOG = logging.getLogger(__name__)


class GpuLostError(RuntimeError):
    """A process can't use its GPU any more: whatever it trains next would fail too."""


class LocalSession:
    """The session of a training of one worker.

    Args:
        files: folder of its checkpoints.
        num_threads: threads that torch may use.
        on_report: called with each finished epoch.
        device: the one to train on; none: a GPU if this process sees one.
    """

    rank = 0
    world_size = 1

    def __init__(
        self,
        files: Storage,
        num_threads: int,
        on_report: Callable[[Report], None],
        device: torch.device | None = None,
    ) -> None:
        self.num_threads = num_threads
        self.device = device
        self._files = files
        self._on_report = on_report
        files.make_folder()

    def read(self, name: str) -> bytes | None:
        with waiting():
            return self._files.read(name)

    def write(self, name: str, data: bytes) -> None:
        with waiting():
            write_unless_ended(self._files, name, data)

    def report(self, report: Report) -> None:
        self._on_report(report)


def plan_here(config: Config, search: SearchConfig, study: Storage) -> tuple[Plan, DataFacts]:
    """One worker in this process, with its GPU if it has one, and the data opened."""
    spare = spare_cpus(search, study)
    machines = Machines(available_cpus(), torch.cuda.device_count(), spare_cpus=spare)
    plan = make_plan(search, machines, device=config.compute.device)
    facts = data_facts(config)
    check_shares(config, 1, facts)
    return plan, facts


def train_job(job: Job, session: Session) -> None:
    """Train a job in this process, which the session describes; raises as the worker does.

    Raises:
        GpuLostError: the process is at fault and not the job. cuDNN and cuBLAS say so in a plain
            RuntimeError, as a config that can't be trained does.
    """
    try:
        (run_final if job.final else run_worker)(job.config, session)
    except RuntimeError as error:
        if gpu_is_lost():
            raise GpuLostError(f"{type(error).__name__}: {error}") from error
        raise


def gpu_is_lost() -> bool:
    """Whether the CUDA context of this process is broken; it stays so for ever."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def train_sharing(job: Job, on_report: Callable[[Report], None]) -> None:
    """Train a job on its share of a GPU, which this process has to itself."""
    bound_gpu_memory(job.gpus_per_worker)
    train_again_without_memory(job, on_report)


def train_again_without_memory(job: Job, on_report: Callable[[Report], None]) -> None:
    """Train a job that shares a GPU, and go on with it once when memory ran out.

    What its neighbours hold beside their tensors (contexts, libraries' workspaces) is in nobody's
    share; and what this process holds of the training before, in pieces, is given back.
    """
    try:
        train_here(job, on_report)
    except RuntimeError as error:
        if isinstance(error, GpuLostError) or not is_out_of_memory(error):
            raise
        # Not the error: who keeps what is logged would keep the training's frames.
        LOG.warning("trial %s goes on once more: %s", job.trial_id, str(error))
    else:
        return
    empty_cache()
    train_here(job, on_report)


def train_here(job: Job, on_report: Callable[[Report], None]) -> None:
    """Train a job of one worker in this process, on its GPU if it is given one.

    Args:
        on_report: called with each finished epoch.
    """
    device = torch.device("cuda", 0) if job.gpus_per_worker else torch.device("cpu")
    train_job(job, LocalSession(job.files, job.cpus_per_worker, on_report, device))


def write_unless_ended(files: Storage, name: str, data: bytes) -> None:
    """Store a checkpoint; nothing when its folder is gone, because its trial has ended.

    A trial that a scheduler stops ends, and its checkpoints with it, while its worker is still
    in the middle of an epoch.
    """
    try:
        files.write(name, data)
    except FileNotFoundError:
        if files.exists():
            raise


def bound_gpu_memory(share: float) -> None:
    """Let this process hold no more of its GPU than its share, its CUDA context included.

    What asks for more gets an out-of-memory error of its own, and not its neighbours.
    """
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(max(0.0, share - CONTEXT_BYTES / total))


def give_back_memory() -> None:
    """Return freed memory to the system, between the trainings of one process.

    Tune runs each trial in a thread of its own, and glibc keeps what a thread freed: an actor of
    twenty trials held 2.8 GB where one trial needs 0.6.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
