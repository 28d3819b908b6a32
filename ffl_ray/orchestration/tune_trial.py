"""Trials of Ray Tune: one worker inside the Tune actor itself or in the process that the trials of
its GPU share, or several on Ray Train.

torch is imported where a trial runs, not in the driver that only names these functions.
"""

from __future__ import annotations

import sys
from typing import Any

from ray import tune
from ray.train import WorkerGroupError
from ray.tune.integration.ray_train import TuneReportCallback

from ffl_ray.orchestration.failures import (
    FAILURE,
    failure_of,
    first_cause,
    is_out_of_memory,
    preemption_for_ray,
    retry_may_help,
)
from ffl_ray.orchestration.gpu_host import train_in_host
from ffl_ray.orchestration.job import Job, report_metrics
from ffl_ray.training.session import Report


def train_in_actor(config: dict[str, Any]) -> None:
    """Tune's function for a trial of one worker; the actor is reused for the next trial.

    Not after an error that is raised: Tune ends that actor, and tries the trial in a new one.
    """
    job = Job(**config)
    try:
        if job.in_one_process:
            _give_back_gpu_memory()
        if not (job.in_one_process and train_in_host(job, _report, _report_failure)):
            _train_by_itself(job)
    except Exception as error:
        if retry_may_help(error):
            raise
        _report_failure(failure_of(error))


def _train_by_itself(job: Job) -> None:
    """Train a job in this process.

    Raises:
        GpuLostError: its memory does not do for that, and may in a process that is shared.
    """
    from ffl_ray.orchestration.local import (
        GpuLostError,
        give_back_memory,
        train_here,
        train_sharing,
    )

    train = train_sharing if 0 < job.gpus_per_worker < 1 else train_here
    try:
        with preemption_for_ray():
            train(job, _report)
    except RuntimeError as error:
        if job.in_one_process and is_out_of_memory(error):
            raise GpuLostError(f"after the process that it shared: {error}") from error
        raise
    finally:
        give_back_memory()


def _give_back_gpu_memory() -> None:
    """Give back what a trial before, which went on by itself, has left: it was in its share."""
    loaded = sys.modules.get("ffl_ray.training.recording")
    if loaded is not None:
        loaded.empty_cache()


def train_on_workers(config: dict[str, Any]) -> None:
    """Tune's function for a trial of several workers; it only waits, and so needs no CPU."""
    from ffl_ray.orchestration.train_workers import make_trainer

    job = Job(**config)
    forward = TuneReportCallback()  # type: ignore[no-untyped-call]
    try:
        make_trainer(job, tune.get_context().get_trial_dir(), callbacks=[forward]).fit()
    except WorkerGroupError as error:
        cause = first_cause(error)
        if retry_may_help(cause):
            raise
        _report_failure(failure_of(cause))


def _report(report: Report) -> None:
    tune.report(report_metrics(report))


def _report_failure(failure: dict[str, Any]) -> None:
    """End the trial for good: what no retry can mend would be met again."""
    tune.report({FAILURE: failure})
