"""Trials of Ray Tune: one worker inside the Tune actor itself, or several on Ray Train.

torch is imported where a trial runs, not in the driver that only names these functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray import tune

from ffl_ray.config import OBJECTIVE
from ffl_ray.homes.job import Job

if TYPE_CHECKING:
    import torch

    from ffl_ray.worker import Report


class ActorSession:
    """The session of a one-worker trial, in its Tune actor."""

    rank = 0
    world_size = 1

    def __init__(self, job: Job, device: torch.device) -> None:
        self.num_threads = job.cpus_per_worker
        self.device: torch.device | None = device
        self._files = job.files
        self._files.make_folder()

    def read(self, name: str) -> bytes | None:
        return self._files.read(name)

    def write(self, name: str, data: bytes) -> None:
        self._files.write(name, data)

    def report(self, report: Report) -> None:
        tune.report(report_metrics(report))


def report_metrics(report: Report) -> dict[str, Any]:
    """An epoch as Tune's metrics: what the scheduler needs, and the rows of the tables."""
    row = report.row
    return {"epoch": row["epoch"], OBJECTIVE: row[OBJECTIVE], "report": report._asdict()}


def train_in_actor(config: dict[str, Any]) -> None:
    """Tune's function for a trial of one worker; the actor is reused for the next trial."""
    import torch

    from ffl_ray.worker import run_worker

    job = Job(**config)
    device = torch.device("cuda", 0) if job.gpus_per_worker else torch.device("cpu")
    run_worker(job.config, ActorSession(job, device))


def train_on_workers(config: dict[str, Any]) -> None:
    """Tune's function for a trial of several workers; it only waits, and so needs no CPU."""
    from ray.tune.integration.ray_train import TuneReportCallback

    from ffl_ray.homes.train_workers import make_trainer

    job = Job(**config)
    forward = TuneReportCallback()  # type: ignore[no-untyped-call]
    make_trainer(job, f"{job.study}/ray", callbacks=[forward]).fit()
