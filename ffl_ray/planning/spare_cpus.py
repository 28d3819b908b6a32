"""The CPUs that a study's trainings share on this machine: what nothing else keeps busy."""

from __future__ import annotations

from math import prod

import psutil

from ffl_ray.config.settings import SearchConfig
from ffl_ray.planning.layout import usable_cpus
from ffl_ray.results.description import read_description
from ffl_ray.results.storage.storage import Storage

SAMPLE_S = 0.25
SHARED = ("max_concurrent_trials", "num_workers", "cpus_per_worker")


def spare_cpus(search: SearchConfig, storage: Storage) -> int | None:
    """The CPUs that a study's trainings share here; None when the user says what each gets.

    A study that goes on has as many as it began with, whatever is idle now: another number of
    threads adds up in another order, and its trainings would not go on bit for bit.
    """
    if search.cpus_per_trial is not None:
        return None
    return planned_cpus(storage) or idle_cpus()


def planned_cpus(storage: Storage) -> int | None:
    """The CPUs of all trainings at once by the first plan of a study; None: it has none."""
    if not storage.exists("study.json"):
        return None
    plan = read_description(storage).get("plan") or {}
    sizes = [plan[name] for name in SHARED if isinstance(plan.get(name), int)]
    return prod(sizes) if len(sizes) == len(SHARED) else None


def idle_cpus() -> int:
    """The CPUs that are idle for a quarter of a second, parts of them added up; 1 at least."""
    busy: list[float] = psutil.cpu_percent(SAMPLE_S, percpu=True)
    idle = sum(1 - busy[cpu] / 100 for cpu in usable_cpus() if cpu < len(busy))
    return max(1, round(idle))
