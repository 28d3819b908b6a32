"""What fits the machines: trials at once, and what each worker of a trial gets."""

from __future__ import annotations

from typing import NamedTuple

from ffl_ray.config import SearchConfig
from ffl_ray.errors import PlanError

MOST_CPUS_PER_GPU_WORKER = 8


class Machines(NamedTuple):
    """What Ray has to give."""

    cpus: int
    gpus: float


class Plan(NamedTuple):
    """How a study is laid out.

    Attributes:
        max_concurrent_trials: trials at once.
        num_workers: processes of a trial.
        cpus_per_worker: CPUs, and so threads, of each.
        gpus_per_worker: GPUs of each; a fraction only when a trial has one worker.
    """

    max_concurrent_trials: int
    num_workers: int
    cpus_per_worker: int
    gpus_per_worker: float

    def columns(self) -> dict[str, float]:
        """What each trial gets, as columns of the trials table."""
        return {
            "num_workers": self.num_workers,
            "cpus_per_trial": self.num_workers * self.cpus_per_worker,
            "gpus_per_trial": self.num_workers * self.gpus_per_worker,
        }


def make_plan(search: SearchConfig, machines: Machines, *, elastic: bool = False) -> Plan:
    """Lay a study out on the machines, or say what would make it fit.

    Args:
        elastic: the machines are a cluster that may still grow, so what was asked for in full
            is taken at its word.

    Raises:
        PlanError: one trial alone needs more than there is, or splits a GPU among workers.
    """
    if elastic and None not in (search.max_concurrent_trials, search.gpus_per_trial):
        assert search.max_concurrent_trials is not None
        assert search.gpus_per_trial is not None
        trials = search.max_concurrent_trials
        machines = Machines(
            max(machines.cpus, trials * (search.cpus_per_trial or search.num_workers)),
            max(machines.gpus, trials * search.gpus_per_trial),
        )
    workers = search.num_workers
    gpus = search.gpus_per_trial
    if gpus is None:
        gpus = float(workers) if machines.gpus else 0.0
    _check_gpus(gpus, workers, machines, elastic)
    cpus = search.cpus_per_trial or workers * _cpus_per_worker(machines, gpus)
    if cpus < workers:
        raise PlanError(
            f"search.cpus_per_trial must be at least search.num_workers {workers}, not {cpus} "
            f"(--cpus-per-trial {workers})"
        )
    if cpus > machines.cpus:
        flag = "--num-workers" if workers > machines.cpus else "--cpus-per-trial"
        least = f"{flag} {max(1, machines.cpus)}"
        raise PlanError(
            f"a trial with num_workers {workers} needs {cpus} CPUs, and there are {machines.cpus}: "
            f"use {least}, or a larger machine{_growing(elastic)}"
        )
    per_worker = cpus // workers
    at_once = machines.cpus // (per_worker * workers)
    if gpus:
        at_once = min(at_once, int(machines.gpus / gpus + 1e-6))
    return Plan(
        max_concurrent_trials=min(
            search.max_concurrent_trials or at_once, at_once, search.num_samples
        ),
        num_workers=workers,
        cpus_per_worker=per_worker,
        gpus_per_worker=gpus / workers,
    )


def _check_gpus(gpus: float, workers: int, machines: Machines, elastic: bool) -> None:
    if gpus > machines.gpus:
        raise PlanError(
            f"a trial with num_workers {workers} needs {gpus:g} GPUs, and there are "
            f"{machines.gpus:g}: use --gpus-per-trial {machines.gpus:g}, or a machine with more"
            f"{_growing(elastic)}"
        )
    if gpus % workers and workers > 1:
        raise PlanError(
            f"search.gpus_per_trial must be a whole number for each of the {workers} workers, "
            f"not {gpus:g}: NCCL refuses two workers on one GPU (--gpus-per-trial {workers})"
        )


def _cpus_per_worker(machines: Machines, gpus: float) -> int:
    if not gpus:
        return 1
    share = int(machines.cpus / machines.gpus * min(gpus, 1.0))
    return max(1, min(share, MOST_CPUS_PER_GPU_WORKER))


def _growing(elastic: bool) -> str:
    """What else helps on a cluster that has not grown yet."""
    if not elastic:
        return ""
    return "; on a cluster that grows, give --max-concurrent-trials and --gpus-per-trial"
