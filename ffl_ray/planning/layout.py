"""The layout of a study on the machines: trials at once, and the CPUs and GPUs of each worker."""

from __future__ import annotations

import os
from typing import NamedTuple

from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import PlanError

MOST_CPUS_PER_WORKER = 8
# PyTorch has 32 streams of a GPU in a process, and hands them out again; a training takes three.
MOST_IN_ONE_PROCESS = 10
# Threads of OpenMP spin for milliseconds while they wait for each other, unless told before torch
# is imported. On cores that others use as well, a training beside another one then stands nearly
# still. Asleep at once a small network is half as fast on idle cores: some microseconds do.
PASSIVE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "600"}


def wait_passively() -> None:
    """Have processes that load torch from now on wait so, unless the user has said how."""
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in PASSIVE_WAITING.items():
            os.environ.setdefault(name, value)


class Machines(NamedTuple):
    """CPUs and GPUs that Ray has over all nodes.

    Attributes:
        node_cpus: of the largest single node, as `node_gpus`; none: there is one node.
        spare_cpus: those that the workers share; none: all.
    """

    cpus: int
    gpus: float
    node_cpus: int | None = None
    node_gpus: float | None = None
    spare_cpus: int | None = None


class Plan(NamedTuple):
    """The layout of a study.

    Attributes:
        max_concurrent_trials: trials at once.
        num_workers: processes of a trial.
        cpus_per_worker: CPUs, and so threads, of each.
        gpus_per_worker: GPUs of each; a fraction only when a trial has one worker.
        in_one_process: trials that share a GPU train in one process of it.
    """

    max_concurrent_trials: int
    num_workers: int
    cpus_per_worker: int
    gpus_per_worker: float
    in_one_process: bool = False

    def columns(self) -> dict[str, float]:
        """The resources of each trial, as columns of the trials table."""
        return {
            "num_workers": self.num_workers,
            "cpus_per_trial": self.num_workers * self.cpus_per_worker,
            "gpus_per_trial": self.num_workers * self.gpus_per_worker,
        }


def make_plan(
    search: SearchConfig, machines: Machines, *, device: str = "auto", elastic: bool = False
) -> Plan:
    """Lay a study out on the machines, or say what would make it fit.

    A worker gets one GPU if there are any, and an even share of the CPUs, at most 8, for as many
    trials at once as are asked for.

    Args:
        device: the setting compute.device.
        elastic: the machines are a cluster that may still grow, so what was asked for in full
            is taken at its word.

    Raises:
        PlanError: one trial alone needs more than there is, or splits a GPU among workers.
    """
    if elastic:
        machines = _grown(search, machines)
    workers = search.num_workers
    gpus = _gpus(search, machines, device)
    _check_gpus(gpus, workers, machines, elastic)
    in_one_process = search.one_process == "on" and 0 < gpus < 1
    if in_one_process:
        _check_streams(gpus)
    at_once = most_at_once(search)
    if gpus:
        at_once = min(at_once, int(machines.gpus / gpus + 1e-6))
    elif device == "mps":
        at_once = 1
    cpus = search.cpus_per_trial or workers * _share(machines, at_once * workers)
    check_cpus(cpus, workers, machines, elastic)
    per_worker = cpus // workers
    return Plan(
        max_concurrent_trials=min(at_once, machines.cpus // (per_worker * workers)),
        num_workers=workers,
        cpus_per_worker=per_worker,
        gpus_per_worker=gpus / workers,
        in_one_process=in_one_process,
    )


def most_at_once(search: SearchConfig) -> int:
    """Trials at once where machines are no bound."""
    return min(search.max_concurrent_trials or search.num_samples, search.num_samples)


def _grown(search: SearchConfig, machines: Machines) -> Machines:
    """The machines that a search which says all it needs will have once they have come."""
    trials, gpus = search.max_concurrent_trials, search.gpus_per_trial
    if trials is None or gpus is None:
        return machines
    cpus = trials * (search.cpus_per_trial or search.num_workers)
    return Machines(max(machines.cpus, cpus), max(machines.gpus, trials * gpus))


def _gpus(search: SearchConfig, machines: Machines, device: str) -> float:
    if device == "mps":
        _check_apples(search)
    if device in ("cpu", "mps"):
        return 0.0
    if device == "cuda" and not machines.gpus:
        raise PlanError("compute.device is cuda, and there is no GPU: use compute.device=auto")
    if search.gpus_per_trial is not None:
        return search.gpus_per_trial
    return float(search.num_workers) if machines.gpus else 0.0


def _check_apples(search: SearchConfig) -> None:
    """Check that a search on Apple's GPU, of which there is one, asks for no more."""
    for name in ("num_workers", "max_concurrent_trials"):
        if (getattr(search, name) or 1) > 1:
            raise PlanError(
                f"search.{name} must be 1 on compute.device mps, which is one GPU that nobody "
                f"shares out, not {getattr(search, name)}"
            )
    if search.gpus_per_trial:
        raise PlanError(
            f"search.gpus_per_trial must be left out on compute.device mps, not "
            f"{search.gpus_per_trial:g}"
        )


def _check_streams(gpus: float) -> None:
    if int(1 / gpus + 1e-6) > MOST_IN_ONE_PROCESS:
        raise PlanError(
            f"search.gpus_per_trial must be at least {1 / MOST_IN_ONE_PROCESS:g} with "
            f"search.one_process on, not {gpus:g}: PyTorch has 32 streams of a GPU in a process, "
            "and a training takes three"
        )


def _check_gpus(gpus: float, workers: int, machines: Machines, elastic: bool) -> None:
    if gpus % workers and (workers > 1 or gpus > 1):
        raise PlanError(
            f"search.gpus_per_trial must be a whole number for each of the {workers} workers, or "
            f"less than 1 for a single one, not {gpus:g}: NCCL refuses two workers on one GPU "
            f"(--gpus-per-trial {max(workers, round(gpus))})"
        )
    if gpus > machines.gpus:
        raise PlanError(
            f"a trial with num_workers {workers} needs {gpus:g} GPUs, and there are "
            f"{machines.gpus:g}: use --num-workers {max(1, int(machines.gpus))}, or "
            f"--gpus-per-trial 0 to train on CPUs{_growing(elastic)}"
        )
    if machines.node_gpus is not None and gpus / workers > machines.node_gpus:
        raise PlanError(
            f"a worker needs {gpus / workers:g} GPUs, and no node has more than "
            f"{machines.node_gpus:g}: use a smaller --gpus-per-trial"
        )


def check_cpus(cpus: int, workers: int, machines: Machines, elastic: bool = False) -> None:
    """Check that the CPUs of one trial are enough for its workers, and are there.

    Raises:
        PlanError: they are not.
    """
    if cpus < workers:
        raise PlanError(
            f"search.cpus_per_trial must be at least search.num_workers {workers}, not {cpus} "
            f"(--cpus-per-trial {workers})"
        )
    if cpus > machines.cpus:
        flag = "--num-workers" if workers > machines.cpus else "--cpus-per-trial"
        raise PlanError(
            f"a trial with num_workers {workers} needs {cpus} CPUs, and there are "
            f"{machines.cpus}: use {flag} {max(1, machines.cpus)}, or a larger machine"
            f"{_growing(elastic)}"
        )
    if machines.node_cpus is not None and cpus // workers > machines.node_cpus:
        raise PlanError(
            f"a worker needs {cpus // workers} CPUs, and no node has more than "
            f"{machines.node_cpus}: use --cpus-per-trial {machines.node_cpus * workers}"
        )


def _share(machines: Machines, workers: int) -> int:
    """CPUs of one worker when this many work at once."""
    per_node = machines.cpus if machines.node_cpus is None else machines.node_cpus
    spare = machines.cpus if machines.spare_cpus is None else machines.spare_cpus
    return max(1, min(machines.cpus // workers, spare // workers, per_node, MOST_CPUS_PER_WORKER))


def _growing(elastic: bool) -> str:
    """The advice for a cluster that has not grown yet; empty on any other."""
    if not elastic:
        return ""
    return "; on a cluster that grows, give --max-concurrent-trials and --gpus-per-trial"


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(usable_cpus())


def usable_cpus() -> set[int]:
    """Numbers of the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
