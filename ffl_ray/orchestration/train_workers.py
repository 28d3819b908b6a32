"""A training on several workers: Ray Train's TorchTrainer, DistributedDataParallel inside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ray
import ray.train
import torch
from ray.train import RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ffl_ray.orchestration.failures import first_cause, preemption_for_ray, retry_may_help
from ffl_ray.orchestration.job import Job, report_metrics
from ffl_ray.orchestration.local import train_job, write_unless_ended
from ffl_ray.orchestration.placement_groups import mark_of
from ffl_ray.orchestration.ray_setup import ray_state
from ffl_ray.training.session import Report


class TrainSession:
    """The session of one of several workers. Rank 0's rows count; a report is a barrier."""

    def __init__(self, job: Job, queue: Queue | None) -> None:
        context = ray.train.get_context()
        self.rank = context.get_world_rank()
        self.world_size = context.get_world_size()
        self.num_threads = job.cpus_per_worker
        self.device: torch.device | None = get_device()
        self._files = job.files
        self._files.make_folder()
        self._queue = queue

    def read(self, name: str) -> bytes | None:
        return self._files.read(name)

    def write(self, name: str, data: bytes) -> None:
        write_unless_ended(self._files, name, data)

    def report(self, report: Report) -> None:
        if self._queue is not None and self.rank == 0:
            self._queue.put(report)
        ray.train.report(report_metrics(report))


def train_loop(config: dict[str, Any]) -> None:
    """What each worker of a TorchTrainer runs."""
    job = Job(**config["job"])
    with preemption_for_ray():
        train_job(job, TrainSession(job, config.get("queue")))


def make_trainer(
    job: Job,
    state: str,
    *,
    callbacks: list[Any] | None = None,
    queue: Queue | None = None,
) -> TorchTrainer:
    """A TorchTrainer for a job: gloo on CPUs, NCCL on GPUs.

    Args:
        state: a folder of this machine for what Ray Train writes and nobody reads.
        queue: takes every finished epoch's rows, when no Tune callback forwards them.
    """
    resources: dict[str, float] = {
        "CPU": job.cpus_per_worker,
        "memory": mark_of(job.trial_id),
    }
    if job.gpus_per_worker:
        resources["GPU"] = job.gpus_per_worker
    return TorchTrainer(
        train_loop,
        train_loop_config={"job": job._asdict(), "queue": queue},
        torch_config=TorchConfig(backend="nccl" if job.gpus_per_worker else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=job.num_workers,
            use_gpu=bool(job.gpus_per_worker),
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name=job.trial_id,
            storage_path=state,
            callbacks=callbacks,
        ),
    )


def train_and_report(job: Job, on_report: Callable[[Report], None], *, max_failures: int) -> None:
    """Train a job on its workers, handing every finished epoch to this process as it comes.

    Args:
        max_failures: how often the workers are started again without an epoch in between.

    Raises:
        FFLRayError: as a worker raised it.
        Exception: whatever else ended the training, with the worker's own message.
    """
    failures, latest = 0, 0

    def progress(report: Report) -> None:
        nonlocal failures, latest
        on_report(report)
        if report.row["epoch"] > latest:
            failures, latest = 0, report.row["epoch"]

    while True:
        try:
            refused = _train_once(job, progress)
        except Exception as error:
            failures += 1
            if failures > max_failures or not retry_may_help(error):
                raise
            continue
        if refused is not None:
            raise refused
        return


def _train_once(job: Job, on_report: Callable[[Report], None]) -> Exception | None:
    """One attempt, which goes on from `latest.pt`.

    Returns:
        What on_report raised, if it did; no epoch was handed to it after that.
    """
    # On this process's node: with another one it would be lost, and reports with it.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
    refused: list[Exception] = []

    def drain() -> None:
        while (report := queue.get()) is not None:
            try:
                if not refused:
                    on_report(report)
            except Exception as error:
                refused.append(error)

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    try:
        with ray_state() as state:
            make_trainer(job, state, queue=queue).fit()
    except WorkerGroupError as error:
        raise first_cause(error) from None
    except SystemExit:
        # Train's own handler of Ctrl-C ends fit() in this way.
        raise KeyboardInterrupt from None
    finally:
        queue.put(None)
        reader.join()
    return refused[0] if refused else None
