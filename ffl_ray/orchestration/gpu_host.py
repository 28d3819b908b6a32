"""The process in which the trials of one GPU train, a thread each: an actor of Ray beside theirs.

A trial stays an actor of Tune, which only hands its job over and fetches one report after the
other: what Tune decides, retries and counts is as for a trial that trains by itself. Where the
process is lost, its trials go on in their own processes from their latest checkpoints, so that one
which takes others along does so once. torch is loaded in the process alone.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import ray
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ffl_ray.orchestration.failures import is_out_of_memory
from ffl_ray.orchestration.job import Job, Told
from ffl_ray.training.session import Report

# Calls of all its trials at once, each in a thread of Ray's; most of them wait.
MOST_CALLS = 64
VISIBLE = "CUDA_VISIBLE_DEVICES"
ENDS_WITHIN_S = 10.0
LOG = logging.getLogger(__name__)


class GpuHost:
    """An actor that trains several jobs; it ends itself when nobody needs it any more.

    Args:
        visible: the GPU that it uses, as CUDA's variable names it; none: it has no GPU.
        num_threads: of each job.
    """

    def __init__(self, visible: str | None, num_threads: int) -> None:
        if visible is not None:
            os.environ[VISIBLE] = visible  # before torch is loaded
        from ffl_ray.orchestration.hosted import HostedTrainings

        self._trainings = HostedTrainings(num_threads)
        threading.Thread(target=self._trainings.watch, daemon=True).start()

    def begin(self, job: Job, pid: int) -> int:
        """Begin to train a job; earlier ones of the same trial or process have ended then.

        Args:
            pid: process whose end ends the job too.

        Returns:
            This process's id.
        """
        self._trainings.begin(job, pid)
        return os.getpid()

    def told(self, trial_id: str, heard: int) -> Told | None:
        """What a job tells next; None when that is nothing for a second.

        Args:
            heard: reports that have arrived and were acted on: until then the job waits.
        """
        return self._trainings.told(trial_id, heard)

    def stop(self, trial_id: str, pid: int) -> None:
        """End the job that a process began; it writes nothing any more."""
        self._trainings.stop(trial_id, pid)


def train_in_host(
    job: Job, on_report: Callable[[Report], None], on_failure: Callable[[dict[str, Any]], None]
) -> bool:
    """Train a job in the process that the trials of this actor's GPU share.

    Args:
        on_report: called with each finished epoch; what it raises ends the job there.
        on_failure: called with what ended the job where a retry can't mend it.

    Returns:
        Whether it has ended: not where that process is lost, or its memory did not do twice:
        nothing bounds a training there, and a neighbour may be who takes it.

    Raises:
        Exception: as the training, where a retry may mend it.
    """
    host, pid = _host_here(job), None
    try:
        pid = ray.get(host.begin.remote(job, os.getpid()))
        try:
            told = _followed(host, job, on_report)
        finally:
            with suppress(RayActorError):
                ray.get(host.stop.remote(job.trial_id, os.getpid()))
    except RayActorError as error:
        LOG.warning(
            "trial %s goes on by itself: the process it shared is lost: %s", job.trial_id, error
        )
        ray.kill(host)
        if pid is not None:
            _wait_for_end(pid)
        return False
    if told.error is not None and is_out_of_memory(told.error):
        LOG.warning("trial %s goes on by itself: %s", job.trial_id, told.error)
        return False
    if told.error is not None:
        raise told.error
    if told.failure is not None:
        on_failure(told.failure)
    return True


def _wait_for_end(pid: int) -> None:
    """Return when a process has ended, so that it writes nothing more, or after some seconds."""
    with suppress(psutil.Error):
        psutil.Process(pid).wait(ENDS_WITHIN_S)


def _followed(host: Any, job: Job, on_report: Callable[[Report], None]) -> Told:
    """How a job ended, after all its reports."""
    heard = 0
    while True:
        told: Told | None = ray.get(host.told.remote(job.trial_id, heard))
        if told is None:
            continue
        if told.report is None:
            return told
        on_report(told.report)
        heard += 1


def _host_here(job: Job) -> Any:
    """The host of this actor's GPU, made where there is none."""
    here = ray.get_runtime_context()
    node = here.get_node_id()
    visible = os.environ.get(VISIBLE) if job.gpus_per_worker else None
    place = NodeAffinitySchedulingStrategy(node, soft=False)
    # It must outlive the trial that needs it first, and belongs to none.
    made: Any = ray.remote(num_cpus=0)(GpuHost).options(
        max_concurrency=MOST_CALLS,
        name=f"host {node} {visible}",
        namespace=f"ffl_ray {here.get_job_id()}",
        get_if_exists=True,
        lifetime="detached",
        scheduling_strategy=place,
    )
    return made.remote(visible, job.cpus_per_worker)
