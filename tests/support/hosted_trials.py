"""Trials of one process, on a Ray that has started: one fails, one is stopped, one is killed."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import ray

from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import ResolvedConfig, SearchConfig
from ffl_ray.console.view import Views
from ffl_ray.orchestration.fixed import FixedRuns
from ffl_ray.orchestration.job import Job
from ffl_ray.orchestration.recorder import Recorder
from ffl_ray.orchestration.retention import CheckpointRetention, best_of_search
from ffl_ray.orchestration.scheduler import StudyScheduler
from ffl_ray.orchestration.tuner import make_tuner
from ffl_ray.planning.layout import Plan
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from support.helpers import small_config

EPOCHS = 8
SMALL = {"data__fraction": 0.2, "optim__epochs": EPOCHS}
FAILING, STOPPED, KILLED, LAST = "00000", "00001", "00002", "00004"
TRIALS: dict[str, dict[str, Any]] = {
    FAILING: {"optim__lr": 100.0, "optim__weight_decay": 1.0},
    STOPPED: {"seed": 1},
    KILLED: {"seed": 2},
    "00003": {"seed": 3, "optim__epochs": 2},
    LAST: {"seed": 4, "optim__epochs": 1},
}
PLAN = Plan(2, 1, 1, 0, in_one_process=True)


def config_of(trial_id: str) -> ResolvedConfig:
    """The config of a trial."""
    return small_config(**SMALL | TRIALS[trial_id])


class StopsOne:
    """A rule that stops one trial after its second epoch."""

    def know(self, trial_id: str, costs: tuple[float, ...]) -> None:
        pass

    def remember(self, trial_id: str, epoch: int, value: float, spent_s: float = 0.0) -> None:
        pass

    def lets_pass(self, trial_id: str, epoch: int, value: float, spent_s: float = 0.0) -> bool:
        return trial_id != STOPPED or epoch < 2


def kill_host(study: Path) -> None:
    """Kill the process that trials share when one was stopped and another is on its way."""
    ends = time.monotonic() + 150
    while time.monotonic() < ends:
        time.sleep(0.02)
        if _epochs(study, STOPPED) == 2 and _epochs(study, KILLED):
            break
    for actor in ray.util.list_named_actors(all_namespaces=True):
        if actor["namespace"].startswith("ffl_ray"):
            ray.kill(ray.get_actor(**actor))


def _epochs(study: Path, trial_id: str) -> int:
    found = study / "epochs"
    return int(pd.read_parquet(found)["trial_id"].eq(trial_id).sum()) if found.is_dir() else 0


def train_in_one_process(folder: str) -> None:
    """Train the trials; their study is in this folder."""
    storage, objective = Storage(folder), parse_objective("fused.accuracy")
    description = describe_study("train", flatten(config_of(STOPPED)))
    tables = StudyTables.open(storage, "hosted", description, [objective])
    retention = CheckpointRetention(storage, best_of_search([objective], 9, tables.members))
    scheduler = StudyScheduler(StopsOne(), EPOCHS)
    recorder = Recorder(tables, retention, scheduler, lambda _: {}, Views(), PLAN.columns(), 2)
    jobs = [Job.planned(i, config_of(i), folder, PLAN)._asdict() for i in TRIALS]
    killer = threading.Thread(target=kill_host, args=(Path(folder),))
    killer.start()
    search = SearchConfig(max_concurrent_trials=2)
    state = f"{folder}-state"
    make_tuner(PLAN, search, state, len(jobs), FixedRuns(jobs), scheduler, recorder).fit()
    killer.join()
    tables.close()
