"""A training of one worker in this process, without Ray."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.orchestration.job import Job
from ffl_ray.orchestration.local import LocalSession
from ffl_ray.planning.data_check import DataFacts, check_shares, data_facts
from ffl_ray.planning.layout import Machines, Plan, available_cpus, make_plan
from ffl_ray.training.session import Report


def plan_here(config: Config, search: SearchConfig) -> tuple[Plan, DataFacts]:
    """One worker in this process, with its GPU if it has one, and the data opened."""
    machines = Machines(available_cpus(), torch.cuda.device_count())
    plan = make_plan(search, machines, device=config.compute.device)
    facts = data_facts(config)
    check_shares(config, 1, facts)
    return plan, facts


def train_here(job: Job, on_report: Callable[[Report], None]) -> None:
    """Train a job in this process.

    Args:
        on_report: called with each finished epoch.
    """
    device = torch.device("cuda", 0) if job.gpus_per_worker else torch.device("cpu")
    job.train(LocalSession(job.files, job.cpus_per_worker, on_report, device))
